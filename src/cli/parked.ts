import { surfaces } from '../../projections';
import { listParked } from '../projector/parked-streams';
import type { RetryResult } from '../projector/parked-streams';
import { discardAs, retryAs } from '../replay/parked-actions';
import type { Runtime } from '../runtime';
import { actorName } from './actor';
import { table } from './output';
import type { Output } from './output';
import { withRuntime } from './with-runtime';

const ACTOR = actorName();

/** Streams whose projection waits behind an event that could not be applied. */
export async function showParked(output: Output): Promise<void> {
  await withRuntime({ migrate: false }, async ({ pool, generation }) => {
    output.result(await listParked(pool, generation), (streams) =>
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

export async function retryParkedRun(output: Output, runId: string): Promise<void> {
  await withRuntime({ migrate: false }, async (runtime) => {
    report(
      output,
      runId,
      await retryAs({ actor: ACTOR, reason: null }, runtime.generation, runId, contextOf(runtime)),
    );
  });
}

/** Without `apply` only says which event would be left out. */
export async function discardParkedEvent(
  output: Output,
  runId: string,
  { reason, apply }: { readonly reason: string; readonly apply: boolean },
): Promise<void> {
  await withRuntime({ migrate: false }, async (runtime) => {
    if (!apply) {
      const stream = (await listParked(runtime.pool, runtime.generation)).find((one) => one.runId === runId);
      output.result({ wouldDiscard: stream ?? null }, () => [
        stream
          ? `would leave out revision ${stream.revision} (${stream.eventType}) of run ${runId} for good; add --apply`
          : `run ${runId} is not parked`,
      ]);
      return;
    }
    report(
      output,
      runId,
      await discardAs({ actor: ACTOR, reason }, runtime.generation, runId, contextOf(runtime)),
    );
  });
}

function contextOf({ pool, store, live }: Runtime) {
  return { pool, store, surfaces, judge: live.current() };
}

function report(output: Output, runId: string, result: RetryResult): void {
  // A script must be able to tell that nothing was cleared.
  if (result.kind !== 'cleared') process.exitCode = 1;
  output.result({ runId, ...result }, () => {
    switch (result.kind) {
      case 'not_parked':
        return [`run ${runId} is not parked`];
      case 'cleared':
        return [`run ${runId}: ${result.events} events applied, nothing waits any more`];
      case 'parked_again':
        return [`run ${runId} stays parked at revision ${result.revision}: ${result.cause}`];
    }
  });
}
