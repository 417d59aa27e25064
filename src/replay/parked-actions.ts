import { isRunStream, runIdOf } from '../events/operation-run-events';
import { FOLLOWING, followsLog, isHistorical, listGenerations } from '../projector/generations';
import type { Generation } from '../projector/generations';
import { judgeFor } from '../projector/live-classification';
import { discardParked, DiscardRefusedError, previewDiscard, retryParked } from '../projector/parked-streams';
import type { ParkedContext, ParkedStream, RecordResult, RetryResult } from '../projector/parked-streams';
import { recordAudit } from './audit-entries';
import type { OperatorContext } from './operator-context';
import { liveOf, reasonOf, refuseBusy, ReplayRefusedError, stateOf } from './replays';
import type { Operator } from './replays';

/** The generation whose parked streams are looked at: the live one, or any other that has tables. */
export async function parkedIn({ pool }: OperatorContext, id: number | undefined): Promise<Generation> {
  const generations = await listGenerations(pool);
  if (id === undefined) return liveOf(generations);
  return stateOf(generations, id, ['building', 'ready', 'live', 'standby'], 'list what is parked in');
}

/** The same, to mend it: one that follows the log and has this binary's tables. With the judge of its own rules. */
export async function mendableIn(
  context: OperatorContext,
  id: number | undefined,
): Promise<{ readonly generation: Generation; readonly parkedContext: ParkedContext }> {
  const { pool, store, surfaces } = context;
  const { id: found } = await parkedIn(context, id);
  const generation = stateOf(await listGenerations(pool), found, FOLLOWING, 'mend what is parked in');
  if (!followsLog(generation, surfaces))
    throw new ReplayRefusedError(
      'wrong_state',
      `generation ${found} ${isHistorical(generation) ? 'is historical' : 'has the read tables of another version'}: ` +
        'what is parked in it stays so',
    );
  return { generation, parkedContext: { pool, store, surfaces, judge: await judgeFor(pool, generation) } };
}

/** What was done in one generation, and what could not be done in others. */
export type MendResult = RetryResult & { readonly failedElsewhere?: readonly string[] };

/**
 * What has been mended or left out in one generation is in all that follow the log: a standby is to be gone back to whole. What
 * fails here is told beside what was done, which stays done.
 */
async function retryElsewhere(
  { id: done }: Generation,
  streamId: string,
  context: ParkedContext,
  result: RetryResult,
): Promise<MendResult> {
  const { pool, surfaces } = context;
  const failedElsewhere: string[] = [];
  for (const other of await listGenerations(pool))
    if (other.id !== done && followsLog(other, surfaces))
      try {
        await retryParked(other, streamId, { ...context, judge: await judgeFor(pool, other) });
      } catch (error) {
        failedElsewhere.push(
          `generation ${other.id}: ${error instanceof Error ? error.message : String(error)}`,
        );
      }
  return failedElsewhere.length === 0 ? result : { ...result, failedElsewhere };
}

/** A parked stream as operators know it: by its run, where it is one's. */
export function nameOf(streamId: string): string {
  return isRunStream(streamId) ? `run ${runIdOf(streamId)}` : `stream ${streamId}`;
}

/** Retries a parked stream for an operator; an attempt on a stream that is parked leaves an audit entry. */
export async function retryAs(
  operator: Operator,
  generation: Generation,
  streamId: string,
  context: ParkedContext,
): Promise<MendResult> {
  const record = recordOf(operator, 'parked.retry', generation, streamId);
  return retryElsewhere(
    generation,
    streamId,
    context,
    await retryParked(generation, streamId, context, record),
  );
}

/** Leaves the failed event of a parked stream out, for an operator with a reason. Throws ReplayRefusedError without one. */
export async function discardAs(
  asking: Operator,
  generation: Generation,
  streamId: string,
  context: ParkedContext,
): Promise<MendResult> {
  const reason = reasonOf(asking.reason);
  if (reason === null)
    throw new ReplayRefusedError('reason_required', 'leaving an event out needs a reason, which is kept');
  const operator = { ...asking, reason };
  const record = recordOf(operator, 'parked.discard', generation, streamId);
  const result = await discardParked(generation, streamId, operator, context, record).catch(refused);
  return retryElsewhere(generation, streamId, context, result);
}

/** What `discardAs` would leave out, refused as that would be; null when the stream is not parked. */
export async function previewDiscardAs(
  generation: Generation,
  streamId: string,
  context: ParkedContext,
): Promise<ParkedStream | null> {
  return previewDiscard(generation, streamId, context).catch(refused);
}

function refused(error: unknown): never {
  if (!(error instanceof DiscardRefusedError)) return refuseBusy(error);
  throw new ReplayRefusedError('wrong_state', error.message);
}

function recordOf(operator: Operator, action: string, { id }: Generation, streamId: string): RecordResult {
  const run = isRunStream(streamId) ? { runId: runIdOf(streamId) } : {};
  return (connection, { kind }) =>
    recordAudit(connection, {
      ...operator,
      action,
      generation: id,
      details: { streamId, ...run, result: kind },
    });
}
