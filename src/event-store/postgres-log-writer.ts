import { DatabaseError } from 'pg';
import type { Pool } from 'pg';
import type { StoredEvent } from '../events/operation-run-events';
import { LogOccupiedError } from './log-writer';
import type { LogWriter } from './log-writer';
import { JSON_OID, TEXT_OID, binaryArray } from './postgres-arrays';

/**
 * One statement in a transaction of its own, as every append (see migrations/0001_event_store.sql). Positions follow the
 * order given, across streams as well; unlike an append it keeps the time at which events were first recorded.
 */
const INSERT = `
  insert into opstruth.events (stream_id, revision, event_id, type, data, metadata, recorded_at)
  select stream_id, revision, event_id, type, data, metadata, recorded_at
  from unnest($1::text[], $2::int[], $3::uuid[], $4::text[], $5::json[], $6::json[], $7::timestamptz[])
    with ordinality as e (stream_id, revision, event_id, type, data, metadata, recorded_at, ord)
  order by ord`;

const LOCK_KEY = `hashtext('opstruth.events copy')`;
/** For a writer that was killed: its server process holds the lock until its last statement has ended. */
const LOCK_TIMEOUT_MS = 10_000;
const LOCK_NOT_AVAILABLE = '55P03';
const UNIQUE_VIOLATION = '23505';

/** The only writer of its kind on this log: two would interleave. Throws LogOccupiedError. */
export async function openPostgresLogWriter(pool: Pool): Promise<LogWriter> {
  const client = await pool.connect();
  const close = () => {
    // Ends the session and with it the lock and the setting.
    client.release(true);
    return Promise.resolve();
  };
  try {
    await client.query(`set lock_timeout = ${LOCK_TIMEOUT_MS}`);
    await client.query(`select pg_advisory_lock(${LOCK_KEY})`);
  } catch (error) {
    await close();
    if (error instanceof DatabaseError && error.code === LOCK_NOT_AVAILABLE)
      throw new LogOccupiedError('another copy is writing to this log: wait until it has ended, or stop it');
    throw error;
  }
  return {
    async write(events) {
      if (events.length === 0) return;
      try {
        await client.query(INSERT, columns(events));
      } catch (error) {
        if (!(error instanceof DatabaseError) || error.code !== UNIQUE_VIOLATION) throw error;
        throw new LogOccupiedError(
          `another process appended to the log meanwhile (${error.detail ?? error.message}): stop it; this log is no ` +
            'copy any more',
          { cause: error },
        );
      }
    },
    flush: () => Promise.resolve(),
    close,
  };
}

function columns(events: readonly StoredEvent[]): unknown[] {
  return [
    binaryArray(TEXT_OID, events, (event) => event.streamId),
    events.map((event) => event.revision),
    events.map((event) => event.eventId),
    binaryArray(TEXT_OID, events, (event) => event.type),
    binaryArray(JSON_OID, events, (event) => JSON.stringify(event.data)),
    binaryArray(JSON_OID, events, (event) => JSON.stringify(event.metadata)),
    events.map((event) => event.recordedAt),
  ];
}
