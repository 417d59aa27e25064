import { counted } from '../tools/counted';
import { isRunStream, runIdOf } from '../events/operation-run-events';
import { listParked } from '../projector/parked-streams';
import type { ParkedStream, RetryResult } from '../projector/parked-streams';
import { discardAs, mendableIn, nameOf, parkedIn, previewDiscardAs, retryAs } from '../replay/parked-actions';
import type { MendResult } from '../replay/parked-actions';
import { ReplayRefusedError } from '../replay/replays';
import { table } from './output';
import type { Output } from './output';
import { onReplays, operatorOf } from './replay-desk';

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
              one.runId ?? `--stream ${one.streamId}`,
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

export async function retryParkedStream(output: Output, streamId: string, id?: number): Promise<void> {
  await onReplays(async ({ context }) => {
    const { generation, parkedContext } = await mendableIn(context, id);
    report(output, streamId, await retryAs(operatorOf(undefined), generation, streamId, parkedContext));
  });
}

/** Without `apply` only says which event would be left out. */
export async function discardParkedEvent(
  output: Output,
  streamId: string,
  { reason, apply, generation: id }: DiscardFlags,
): Promise<void> {
  await onReplays(async ({ context }) => {
    const { generation, parkedContext } = await mendableIn(context, id);
    if (!apply) {
      const stream = await previewDiscardAs(generation, streamId, parkedContext);
      if (!stream) throw notParked(streamId);
      output.result({ wouldDiscard: stream }, () => [
        `would leave out revision ${stream.revision} (${stream.eventType}) of ${nameOf(streamId)} for good${takenAlong(stream)}; add --apply`,
      ]);
      return;
    }
    report(output, streamId, await discardAs(operatorOf(reason), generation, streamId, parkedContext));
  });
}

/** Without its first event a run does not exist. */
function takenAlong({ runId, revision }: ParkedStream): string {
  return runId !== null && revision === 0 ? ', and the whole run with it' : '';
}

function notParked(streamId: string, details: readonly string[] = []): ReplayRefusedError {
  return new ReplayRefusedError('not_found', `${nameOf(streamId)} is not parked`, details);
}

function report(output: Output, streamId: string, result: MendResult): void {
  const { failedElsewhere = [] } = result;
  const elsewhere = failedElsewhere.map((where) => `not so in ${where}`);
  if (result.kind === 'not_parked') throw notParked(streamId, elsewhere);
  // A script must be able to tell that something is still waiting.
  if (result.kind !== 'cleared' || failedElsewhere.length > 0) process.exitCode = 1;
  const runId = isRunStream(streamId) ? runIdOf(streamId) : null;
  output.result({ streamId, runId, ...result }, () => [resultWords(streamId, result), ...elsewhere]);
}

function resultWords(streamId: string, result: Exclude<RetryResult, { kind: 'not_parked' }>): string {
  switch (result.kind) {
    case 'cleared':
      return `${nameOf(streamId)}: ${counted(result.events, 'parked event')} dealt with; nothing is waiting`;
    case 'parked_again':
      return `${nameOf(streamId)} stays parked at revision ${result.revision}: ${result.cause}`;
  }
}
