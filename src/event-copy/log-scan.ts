import { hasRunPrefix } from '../events/operation-run-events';
import type { StoredEvent } from '../events/operation-run-events';
import { comparePositions } from '../events/position';
import type { Position } from '../events/position';
import type { CopyLog } from './copy-log';

/** Events read at once: this many of the largest size are in memory twice, as the next are read ahead. */
const BATCH_SIZE = 500;

/**
 * The events of runs strictly after `from` up to and with `to` in batches, then an end: what others have put into a log stays
 * there. Throws what `signal` was aborted with.
 */
export async function* scanLog(
  { store }: Pick<CopyLog, 'store'>,
  from: Position,
  to: Position,
  signal: AbortSignal,
): AsyncGenerator<StoredEvent[], void, void> {
  signal.throwIfAborted();
  if (comparePositions(from, to) >= 0) return;
  // A subscription, though the end is known: it reads ahead, survives restarts and waits for what is not readable yet.
  for await (const batch of store.subscribe(from, { batchSize: BATCH_SIZE, signal })) {
    const isLast = comparePositions(batch.at(-1)!.position, to) >= 0;
    const events = batch.filter(
      ({ streamId, position }) => hasRunPrefix(streamId) && comparePositions(position, to) <= 0,
    );
    if (events.length > 0) yield events;
    signal.throwIfAborted();
    if (isLast) return;
  }
  signal.throwIfAborted();
}
