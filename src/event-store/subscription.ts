import type { StoredEvent } from '../events/operation-run-events';
import { comparePositions } from '../events/position';
import type { Position } from '../events/position';
import { unlessAborted } from '../tools/abortable';
import type { WakeUp } from './wake-up';

/** What a subscription needs of its log; the filter, if any, is inside. */
export interface FollowedLog {
  read(from: Position, limit: number): Promise<StoredEvent[]>;
  /**
   * Whether events lie after a position of which `read` gave none: too young to be read yet, or come just now. Their
   * notification may be over, and there is none when they become readable.
   */
  hasMore(after: Position): Promise<boolean>;
  /**
   * Given when `read` leaves events out: a position up to which a read that starts after it is complete. Without it
   * every look of a quiet subscription would scan again all that its filter rejects.
   */
  tail?(): Promise<Position>;
}

export interface FollowOptions {
  readonly from: Position;
  readonly batchSize: number;
  readonly signal: AbortSignal;
  readonly wakeUp: WakeUp;
  readonly onError: (error: Error) => void;
}

/** Between looks for events that are there and cannot be read yet; doubled from the first to the longest. */
const FIRST_MORE_WAIT_MS = 5;
const LONGEST_MORE_WAIT_MS = 200;

/** One look at the log. `mark` was taken before it; the look after it starts at `next`. */
interface Look {
  readonly events: StoredEvent[];
  readonly next: Position;
  readonly mark: number;
  readonly more: boolean;
}

/** What became of a look: a value, because a look ahead must not reject while nobody waits for it. */
type Outcome = { readonly look: Look } | { readonly error: Error };

/**
 * Batches of at most `batchSize` events after `from`, until `signal` aborts. While the consumer works on a full batch
 * the next one is read, never more. A read that fails is thrown: the consumer subscribes again from its checkpoint.
 */
export async function* follow(
  log: FollowedLog,
  options: FollowOptions,
): AsyncGenerator<StoredEvent[], void, void> {
  const { batchSize, signal, wakeUp, onError } = options;
  let next = options.from;
  let looksForMore = 0;
  let pending: Promise<Outcome> | undefined;
  try {
    while (!signal.aborted) {
      pending ??= tryLook(log, next, batchSize, wakeUp);
      const outcome = await unlessAborted(pending, signal);
      if (!outcome) return;
      pending = undefined;
      if ('error' in outcome) throw outcome.error;
      const { events, mark, more } = outcome.look;
      next = outcome.look.next;
      looksForMore = more ? looksForMore + 1 : 0;
      if (events.length > 0) {
        if (events.length === batchSize) pending = tryLook(log, next, batchSize, wakeUp);
        yield events;
      } else {
        await wakeUp.wait(signal, more ? moreWaitMs(looksForMore) : undefined, mark);
      }
    }
  } finally {
    // The consumer is gone and will not see what became of the last look.
    void pending?.then((outcome) => {
      if ('error' in outcome) onError(outcome.error);
    });
  }
}

async function tryLook(log: FollowedLog, from: Position, limit: number, wakeUp: WakeUp): Promise<Outcome> {
  try {
    const mark = wakeUp.mark();
    const covered = await log.tail?.();
    const events = await log.read(from, limit);
    const last = events.at(-1)?.position ?? from;
    const next = covered && events.length < limit && comparePositions(covered, last) > 0 ? covered : last;
    return { look: { events, next, mark, more: events.length === 0 && (await log.hasMore(next)) } };
  } catch (error) {
    return { error: error instanceof Error ? error : new Error(String(error)) };
  }
}

function moreWaitMs(looks: number): number {
  return Math.min(LONGEST_MORE_WAIT_MS, FIRST_MORE_WAIT_MS * 2 ** (looks - 1));
}
