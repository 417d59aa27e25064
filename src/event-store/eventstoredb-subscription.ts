import type { StoredEvent } from '../events/operation-run-events';
import { comparePositions, formatPosition } from '../events/position';
import type { Position } from '../events/position';
import { sleep } from '../tools/abortable';
import type { EventFilter } from './event-store';
import { backOffMs } from './eventstoredb-connection';
import type { Connection } from './eventstoredb-connection';
import type { LogClient } from './eventstoredb-client';
import { EventStoreUnavailableError } from './event-store';
import {
  EventStoreRefusedError,
  NoAnswerError,
  describe,
  errorType,
  isTransient,
} from './eventstoredb-errors';
import { openSession } from './eventstoredb-session';
import type { Session } from './eventstoredb-session';

/** Told what goes on in one subscription, for metrics. Must not throw. */
export interface SubscriptionWatch {
  /** One of the server's subscriptions ended for a reason that passes; another is begun. */
  restarted?(errorType: string): void;
  /** A batch is handed out; `buffered` events more have arrived by then. */
  batch?(events: number, buffered: number): void;
  /** The consumer has come back for more after `batchMs`, so it is done with all up to here. */
  handled?(upTo: Position, batchMs: number): void;
  /** The consumer has left, or the subscription has thrown. */
  ended?(): void;
}

/** Asked at the beginning of each subscription for who will be told of it. */
export type SubscriptionObserver = (from: Position) => SubscriptionWatch;

export interface Progress {
  /** The last run event given to the consumer, or where the consumer began. */
  readonly handedOut: Position;
  /** No run event that was not handed out lies before: this may be the place of an event that is none of ours. */
  readonly reached: Position;
}

export interface FollowedEventStoreDb {
  readonly connection: Connection;
  /** Throws when this log is not the one in which so much was done. */
  refuseUnlessSame(progress: Progress): Promise<void>;
  tail(): Promise<Position>;
  readonly onError: (error: Error) => void;
  readonly observer?: SubscriptionObserver;
}

export interface FollowOptions {
  readonly from: Position;
  readonly batchSize: number;
  readonly filter: EventFilter;
  readonly probeEveryMs: number;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/**
 * Batches strictly after `from` until `signal` aborts, over as many subscriptions of the server's as it takes: none of
 * them resumes by itself. Whatever was not handed out when one ends is dropped and read again by the next. Throws what
 * would not pass, PositionBeyondLogError and AnotherLogError among it.
 */
export async function* follow(
  log: FollowedEventStoreDb,
  options: FollowOptions,
): AsyncGenerator<StoredEvent[], void, void> {
  const { signal } = options;
  let handedOut = options.from;
  let reached = options.from;
  let failures = 0;
  const watch = log.observer?.(options.from);
  try {
    while (!signal.aborted) {
      const client = log.connection.client();
      const begunAt = performance.now();
      const session = openSession(client, { ...options, from: reached });
      try {
        await session.confirmed(options.timeoutMs);
        if (signal.aborted) return;
        // Not before: the server might be replaced between the question and the subscription.
        await log.refuseUnlessSame({ handedOut, reached });
        for await (const batch of batchesOf(session, log, options, client)) {
          failures = 0;
          handedOut = batch.at(-1)!.position;
          watch?.batch?.(batch.length, session.buffered);
          const from = performance.now();
          yield batch;
          watch?.handled?.(handedOut, performance.now() - from);
        }
        return;
      } catch (error) {
        if (signal.aborted) return;
        if (!isTransient(error) && !(error instanceof EventStoreUnavailableError)) throw clear(error);
        failures += 1;
        ({ reached } = session);
        log.connection.failed(client, begunAt);
        watch?.restarted?.(errorType(error));
        log.onError(
          new Error(`subscription ended at ${formatPosition(reached)}, taken up again: ${describe(error)}`, {
            cause: error,
          }),
        );
      } finally {
        session.close();
      }
      await sleep(backOffMs(failures), signal);
    }
  } finally {
    watch?.ended?.();
  }
}

/** The session's batches until `signal` aborts. Throws how it ended, or that it has fallen silent. */
async function* batchesOf(
  session: Session,
  log: FollowedEventStoreDb,
  { signal, probeEveryMs }: FollowOptions,
  client: LogClient,
): AsyncGenerator<StoredEvent[], void, void> {
  let dueSince: Position | undefined;
  while (!signal.aborted) {
    const batch = await session.next(probeEveryMs);
    if (batch.length > 0) {
      dueSince = undefined;
      log.connection.worked(client);
      yield batch;
    } else if (!signal.aborted) {
      // Two looks in a row: what had come only just before the first may have been on its way.
      if (dueSince && comparePositions(dueSince, session.reached) > 0)
        throw new NoAnswerError(`${formatPosition(dueSince)} is in the log and was never delivered`);
      const tail = await log.tail();
      dueSince = comparePositions(tail, session.reached) > 0 ? tail : undefined;
    }
  }
}

function clear(error: unknown): Error {
  if (error instanceof Error && !('type' in error)) return error;
  return new EventStoreRefusedError(`subscription: ${describe(error)}`, { cause: error });
}
