import type { Pool } from 'pg';
import { DatabaseUnreachableError, openPool, requireReachable } from '../db/database';
import { openEmbedded } from '../embedded-postgres/embedded-postgres';
import { migrate } from '../db/migrate';
import type { EventStore } from '../event-store/event-store';
import type { LogWriter } from '../event-store/log-writer';
import { createOrderedLogWriter } from '../event-store/ordered-log-writer';
import { createPostgresEventStore } from '../event-store/postgres-event-store';
import { openPostgresLogWriter } from '../event-store/postgres-log-writer';
import { countCommitted, readLastCommitted } from '../event-store/postgres-reads';
import type { Position } from '../events/position';
import { EventCopyError } from './copy-error';

/** One side of a copy. */
export interface CopyLog {
  /** How it is named to people: never with credentials. */
  readonly name: string;
  readonly store: EventStore;
  /** The position of the last event that is committed now, even where readers must still wait for it. */
  end(): Promise<Position>;
  /** How many events it holds, or null when that could only be found out by reading all of them. */
  count(): Promise<number | null>;
  /** Makes the log ready to be written, and writes to it. */
  openWriter(options: { readonly inFlight: number }): Promise<LogWriter>;
  /** Whether a copy keeps the time at which an event was first recorded; else it is the time of the copy. */
  readonly keepsRecordedAt: boolean;
  close(): Promise<void>;
}

export interface OpenOptions {
  /** Where the embedded PostgreSQL has its data. */
  readonly home: string;
  /** The log may not be there yet: its tables are made. */
  readonly create: boolean;
  /** Told of what the logs survive. */
  readonly onError: (error: Error) => void;
}

/** What names the embedded PostgreSQL of this installation in place of a URL. */
export const EMBEDDED = 'embedded';

const POSTGRES = /^postgres(ql)?:\/\//;
const EVENT_STORE_DB = /^(esdb|kurrentdb|kurrent|kdb)(\+discover)?:\/\//;
/** One reads, one writes, one listens. */
const CONNECTIONS = 4;

/** Opens the log under `postgres://`, `esdb://` or `embedded`. Throws EventCopyError and ConnectionStringError. */
export async function openCopyLog(url: string, options: OpenOptions): Promise<CopyLog> {
  if (url === EMBEDDED) {
    const embedded = await openEmbedded(options.home);
    return openPostgres(embedded.url, options, () => embedded.stop());
  }
  if (POSTGRES.test(url) && URL.canParse(url)) return openPostgres(url, options);
  if (EVENT_STORE_DB.test(url)) return openEventStoreDb(url, options);
  throw new EventCopyError('must be a URL that begins with postgres:// or esdb://, or the word embedded');
}

/** Scheme, hosts and path of a URL: what may be shown of it. */
export function nameOf(url: string): string {
  return url.replace(/^([a-z+]+:\/\/)(?:.*@)?([^?#]*).*$/s, '$1$2');
}

async function openPostgres(
  url: string,
  { create, onError }: OpenOptions,
  stop?: () => Promise<void>,
): Promise<CopyLog> {
  const pool = openPool(url, { max: CONNECTIONS, applicationName: 'opstruth events copy', onError });
  const store = createPostgresEventStore({ pool, onError });
  const close = async () => {
    await store.close();
    await pool.end();
    await stop?.();
  };
  try {
    await requireReachable(pool);
    if (create) await migrate(pool);
    else await refuseWithoutLog(pool);
  } catch (cause) {
    await close();
    if (cause instanceof EventCopyError) throw cause;
    const reason = cause instanceof DatabaseUnreachableError ? cause.reason : (cause as Error).message;
    throw new EventCopyError(`cannot be opened: ${reason}`, { cause });
  }
  return {
    name: stop ? EMBEDDED : nameOf(url),
    store,
    end: () => readLastCommitted(pool),
    count: () => countCommitted(pool),
    openWriter: () => openPostgresLogWriter(pool),
    keepsRecordedAt: true,
    close,
  };
}

async function refuseWithoutLog(pool: Pool): Promise<void> {
  const { rows } = await pool.query<{ there: boolean }>(
    `select to_regclass('opstruth.events') is not null as there`,
  );
  if (!rows[0]?.there)
    throw new EventCopyError('is a database without an event log (there is no opstruth.events)');
}

type EventStoreDb = typeof import('../event-store/eventstoredb-event-store');

function openEventStoreDb(url: string, { onError }: OpenOptions): CopyLog {
  // Its client is large, and no other verb has use for it.
  // oxlint-disable-next-line typescript/no-require-imports
  const { createEventStoreDbEventStore } = require('../event-store/eventstoredb-event-store') as EventStoreDb;
  const store = createEventStoreDbEventStore({ url, onError });
  return {
    name: nameOf(url),
    store,
    end: () => store.tail(),
    count: () => Promise.resolve(null),
    openWriter: ({ inFlight }) => Promise.resolve(createOrderedLogWriter(store, inFlight)),
    keepsRecordedAt: false,
    close: () => store.close(),
  };
}
