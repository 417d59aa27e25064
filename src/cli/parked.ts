import { counted } from '../counted';
import { listParked } from '../projector/parked-streams';
import type { RetryResult } from '../projector/parked-streams';
import { actorName } from './actor';
import { discardAs, mendableIn, parkedIn, retryAs } from '../replay/parked-actions';
import { table } from './output';
import type { Output } from './output';
import { onReplays } from './replay-desk';

const ACTOR = actorName();

export interface DiscardFlags {
  readonly reason: string;
  readonly apply: boolean;
  readonly generation?: number;
}

/** Streams whose projection waits behind an event that could not be applied. */
export async function showParked(output: Output, id?: number): Promise<void> {
  await onReplays(async ({ context }) => {
    output.result(await listParked(context.pool, await parkedIn(context, id)), (streams) =>
      streams.length === 0
        ? ['nothing is parked']
        : table(
            ['run', 'revision', 'event', 'events waiting', 'parked at', 'cause'],
            streams.map((one) => [
              one.runId,
              String(one.revision),
              one.eventType,
              one.events,
              one.parkedAt,
              one.cause,
            ]),
          ),
    );
  });
}

export async function retryParkedRun(output: Output, runId: string, id?: number): Promise<void> {
  await onReplays(async ({ context }) => {
    const { generation, parkedContext } = await mendableIn(context, id);
    report(output, runId, await retryAs({ actor: ACTOR, reason: null }, generation, runId, parkedContext));
  });
}

/** Without `apply` only says which event would be left out. */
export async function discardParkedEvent(
  output: Output,
  runId: string,
  { reason, apply, generation: id }: DiscardFlags,
): Promise<void> {
  await onReplays(async ({ context }) => {
    const { generation, parkedContext } = await mendableIn(context, id);
    if (!apply) {
      const stream = (await listParked(context.pool, generation)).find((one) => one.runId === runId);
      output.result({ wouldDiscard: stream ?? null }, () => [
        stream
          ? `would leave out revision ${stream.revision} (${stream.eventType}) of run ${runId} for good; add --apply`
          : `run ${runId} is not parked`,
      ]);
      return;
    }
    report(output, runId, await discardAs({ actor: ACTOR, reason }, generation, runId, parkedContext));
  });
}

function report(output: Output, runId: string, result: RetryResult): void {
  // A script must be able to tell that nothing was cleared.
  if (result.kind !== 'cleared') process.exitCode = 1;
  output.result({ runId, ...result }, () => {
    switch (result.kind) {
      case 'not_parked':
        return [`run ${runId} is not parked`];
      case 'cleared':
        return [`run ${runId}: ${counted(result.events, 'event')} applied, nothing waits any more`];
      case 'parked_again':
        return [`run ${runId} stays parked at revision ${result.revision}: ${result.cause}`];
    }
  });
}
