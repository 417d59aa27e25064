import type { Pool } from 'pg';
import { orRefused } from './encode-event';
import { refuseIfClosed } from './event-store';
import type { EventStore } from './event-store';
import { appendEvents } from './postgres-append';
import {
  findEventIds,
  hasMore,
  readAll,
  readByStream,
  readIdentity,
  readPending,
  readStream,
  readStreams,
  readTail,
} from './postgres-reads';
import { follow } from './subscription';
import { createWakeUp } from './wake-up';

/** Notified by a trigger at each insert into opstruth.events. */
const EVENTS_CHANNEL = 'opstruth_events';

export interface PostgresEventStoreOptions {
  /** Its owner ends it, after the store has been closed. */
  readonly pool: Pool;
  /** Plans by key (see src/db/database.ts): for what a service asks again and again. (Default: `pool`) */
  readonly lookups?: Pool;
  /** The longest a subscription goes without a look when no notification arrives. (Default: 1000) */
  readonly pollMs?: number;
  /** Told of what the store survives: a broken LISTEN connection, a failed read that nobody waits for. */
  readonly onError: (error: Error) => void;
}

/**
 * The log in `opstruth.events`. Appends and reads throw what PostgreSQL throws; an append is safe to repeat after any
 * of it. A subscription throws when a read fails and ends when its signal aborts or the store is closed.
 */
export function createPostgresEventStore({
  pool,
  lookups = pool,
  pollMs,
  onError,
}: PostgresEventStoreOptions): EventStore {
  const closing = new AbortController();
  const wakeUp = createWakeUp({
    pool,
    channel: EVENTS_CHANNEL,
    onError,
    ...(pollMs !== undefined && { pollMs }),
  });

  return {
    append: async (append) => orRefused(await appendEvents({ pool, lookups }, [append])),
    appendMany: (appends) => appendEvents({ pool, lookups }, appends),
    readStream: (streamId, fromRevision = 0) => readStream(lookups, streamId, fromRevision),
    readStreams: (streamIds) => readStreams(lookups, streamIds),
    findEventIds: (asked) => findEventIds(lookups, asked),
    readAll: (from, limit, filter) => readAll(lookups, from, limit, filter),
    readByStream: (from, upTo, limit) => readByStream(lookups, from, upTo, limit),
    subscribe(from, { batchSize, filter, signal }) {
      refuseIfClosed(closing.signal);
      return follow(
        {
          read: (after, limit) => readAll(lookups, after, limit, filter),
          hasMore: (after) => hasMore(lookups, after),
          ...(filter?.types?.length && { tail: () => readTail(pool) }),
        },
        { from, batchSize, signal: AbortSignal.any([signal, closing.signal]), wakeUp, onError },
      );
    },
    pending: (from, limit) => readPending(pool, from, limit),
    tail: () => readTail(pool),
    identity: () => readIdentity(pool),
    close: async () => {
      closing.abort();
      await wakeUp.close();
    },
  };
}
