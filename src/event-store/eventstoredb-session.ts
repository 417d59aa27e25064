import { streamNameFilter } from '@eventstore/db-client';
import type { AllStreamResolvedEvent } from '@eventstore/db-client';
import { streamOf } from '../events/operation-run-events';
import type { StoredEvent } from '../events/operation-run-events';
import type { Position } from '../events/position';
import { sleep } from '../tools/abortable';
import type { EventFilter } from './event-store';
import type { LogClient } from './eventstoredb-client';
import { CallEndedError, NoAnswerError } from './eventstoredb-errors';
import { isRunEvent, isWanted } from './eventstoredb-reads';
import { isNoPosition, storedEvent } from './eventstoredb-stored-event';

export interface SessionOptions {
  readonly from: Position;
  readonly batchSize: number;
  readonly filter: EventFilter;
  readonly signal: AbortSignal;
}

/** One subscription of the server's, from its beginning to whatever end. */
export interface Session {
  /** Everything up to here has been handed out, or is none of ours: a later session may begin after it. */
  readonly reached: Position;
  /** Events that have arrived and were not handed out yet. */
  readonly buffered: number;
  /** Resolves when the server has begun. Throws how the session ended, or NoAnswerError. */
  confirmed(timeoutMs: number): Promise<void>;
  /**
   * The next events; the ones before count as handled from this call on. Empty when nothing came within `waitMs`, or the
   * signal aborted. Throws how the session ended, after all that was taken of it has been handed out.
   */
  next(waitMs: number): Promise<StoredEvent[]>;
  close(): void;
}

/** Batches are at most this much larger than what the stream holds ready for them. */
const LARGEST_READ_AHEAD = 2_048;
/** While catching up a batch waits so long to be filled; a live one goes out at once. */
const FILL_FOR_MS = 50;
/** In units of 32 events looked at. Each one is a message, and what is skipped again after a restart is cheap. */
const CHECKPOINT_INTERVAL = 32;

/** Subscribes to every run event after `from`. Nothing it does throws into the client, which would stall for ever. */
export function openSession(client: LogClient, options: SessionOptions): Session {
  const { batchSize, filter, signal } = options;
  let reached = options.from;
  let confirmed = false;
  let failure: Error | undefined;
  /** Counts of events taken from the stream, and of those whose consumer has come back for more. */
  let taken = 0;
  let handled = 0;
  let lastTaken = options.from;
  let liveAt = Infinity;
  const checkpoints: { readonly at: number; readonly position: Position }[] = [];
  const wakers = new Set<() => void>();
  const wake = () => {
    for (const one of [...wakers]) one();
  };

  /** How many events must have been taken for all that has arrived by now to be among them. */
  const arrived = () => taken + subscription.readableLength;
  const settleCheckpoints = () => {
    while (checkpoints.length > 0 && checkpoints[0]!.at <= handled) reached = checkpoints.shift()!.position;
  };
  const subscription = client.subscribeToAll(
    {
      fromPosition: options.from,
      filter: streamNameFilter({
        prefixes: [streamOf('')],
        checkpointInterval: CHECKPOINT_INTERVAL,
        // Comes while events from before it still wait in the buffer: it counts when those have been handled.
        checkpointReached: (_subscription, position) => {
          if (isNoPosition(position.commit)) return;
          checkpoints.push({ at: arrived(), position });
          settleCheckpoints();
        },
      }),
    },
    { highWaterMark: Math.min(LARGEST_READ_AHEAD, batchSize) },
  );
  const end = (error: Error) => {
    failure ??= error;
    wake();
  };
  subscription.on('readable', wake);
  subscription.on('confirmation', () => {
    confirmed = true;
    wake();
  });
  // Like checkpoints ahead of the handler, and repeated whenever the server thinks so.
  subscription.on('caughtUp', () => {
    liveAt = Math.min(liveAt, arrived());
    wake();
  });
  // Stays for good: errors come after the end as well.
  subscription.on('error', end);
  const endInSilence = () => end(new CallEndedError('the subscription ended without an error'));
  for (const event of ['end', 'close'] as const) subscription.on(event, endInSilence);
  // Until it is confirmed nobody reads, and a stream that nobody reads does not say that it has ended.
  subscription.on('finish', () => {
    if (!confirmed) endInSilence();
  });

  /** Moves what the stream holds ready into `batch`, until that is full. */
  const fill = (batch: StoredEvent[]) => {
    while (batch.length < batchSize && !failure) {
      // What this stream gives is what its subscription is of.
      const resolved = subscription.read() as AllStreamResolvedEvent | null;
      if (!resolved) return;
      taken += 1;
      if (!resolved.event) continue;
      lastTaken = resolved.event.position;
      if (isRunEvent(resolved.event) && isWanted(filter, resolved.event.type))
        batch.push(storedEvent(resolved.event));
    }
  };
  const handle = () => {
    if (handled === taken) return;
    handled = taken;
    reached = lastTaken;
    settleCheckpoints();
  };

  return {
    get reached() {
      return reached;
    },
    get buffered() {
      return subscription.readableLength;
    },

    async confirmed(timeoutMs) {
      const giveUpAt = performance.now() + timeoutMs;
      while (!confirmed && !failure && !signal.aborted) {
        const leftMs = giveUpAt - performance.now();
        if (leftMs <= 0) throw new NoAnswerError(`subscription: not confirmed within ${timeoutMs} ms`);
        await sleep(leftMs, signal, wakers);
      }
      if (failure) throw failure;
    },

    async next(waitMs) {
      handle();
      const batch: StoredEvent[] = [];
      const waitUntil = performance.now() + waitMs;
      let fillUntil = Infinity;
      for (;;) {
        fill(batch);
        if (batch.length === 0) {
          if (failure) throw failure;
          // All that was taken is of types that nobody asked for: there is nobody to wait for.
          handle();
        } else if (batch.length >= batchSize || failure || taken >= liveAt) return batch;
        else fillUntil = Math.min(fillUntil, performance.now() + FILL_FOR_MS);
        const leftMs = Math.min(waitUntil, fillUntil) - performance.now();
        if (signal.aborted || leftMs <= 0) return signal.aborted ? [] : batch;
        await sleep(leftMs, signal, wakers);
      }
    },

    close() {
      failure ??= new CallEndedError('the subscription was closed');
      // Leaving or destroying the stream alone would not end the call at the server.
      void subscription
        .unsubscribe()
        .catch(() => undefined)
        .finally(() => subscription.destroy());
    },
  };
}
