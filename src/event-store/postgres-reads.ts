import type { CustomTypesConfig, Pool, QueryArrayConfig } from 'pg';
import type { Instant } from '../events/instant';
import type { StoredEvent } from '../events/operation-run-events';
import { START } from '../events/position';
import type { Position } from '../events/position';
import type { EventFilter, EventInStream, StreamPlace } from './event-store';

/**
 * No event below it will appear any more to a statement that begins after it was asked for (migrations/0008). Asked for
 * within a statement it may be later than what that statement sees: enough to say how far one may read, not to read.
 */
const HORIZON = '(select opstruth.log_horizon())';

/** The row-wise comparison is what lets the primary key start its scan at the position ($1, $2). */
const AFTER = '(commit_xid, position) > ($1::text::xid8, $2::bigint)';
const READABLE_AFTER = `${AFTER} and commit_xid < ${HORIZON}`;

const RECORDED_AT = `to_char(recorded_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;

const COLUMNS = `stream_id, revision, commit_xid, position, event_id, type, data, metadata, ${RECORDED_AT}`;

type Row = readonly [
  streamId: string,
  revision: string,
  commit: string,
  prepare: string,
  eventId: string,
  type: string,
  data: string,
  metadata: string,
  recordedAt: string,
];

/** Events after `from` in log order, at most `limit`, below the horizon. */
export async function readAll(
  pool: Pool,
  from: Position,
  limit: number,
  filter: EventFilter = {},
): Promise<StoredEvent[]> {
  const { types = [] } = filter;
  return readEvents(
    pool,
    'opstruth read all',
    `select ${COLUMNS} from opstruth.readable_events($1::text::xid8, $2, $3, $4)`,
    [String(from.commit), String(from.prepare), limit, types.length > 0 ? types : null],
  );
}

/**
 * The limit is part of the statement, or PostgreSQL would plan for a tenth of the log and might sort
 * all of it for each page.
 */
export function readByStream(
  pool: Pool,
  { streamId, revision }: StreamPlace,
  upTo: Position,
  limit: number,
): Promise<StoredEvent[]> {
  return readEvents(
    pool,
    `opstruth read ${limit} by stream`,
    `select ${COLUMNS} from opstruth.events
     where (stream_id, revision) > ($1, $2) and (commit_xid, position) <= ($3::text::xid8, $4::bigint)
     order by stream_id, revision limit ${limit}`,
    [streamId, revision, String(upTo.commit), String(upTo.prepare)],
  );
}

export async function readStream(pool: Pool, streamId: string, fromRevision: number): Promise<StoredEvent[]> {
  return readEvents(
    pool,
    'opstruth read stream',
    `select ${COLUMNS} from opstruth.events where stream_id = $1 and revision >= $2 order by revision`,
    [streamId, fromRevision],
  );
}

export async function readStreams(
  pool: Pool,
  streamIds: readonly string[],
): Promise<Map<string, StoredEvent[]>> {
  const streams = new Map<string, StoredEvent[]>();
  if (streamIds.length === 0) return streams;
  const events = await readEvents(
    pool,
    'opstruth read streams',
    `select ${COLUMNS} from opstruth.events where stream_id = any ($1::text[]) order by revision`,
    [streamIds],
  );
  for (const event of events) {
    const stream = streams.get(event.streamId);
    if (stream) stream.push(event);
    else streams.set(event.streamId, [event]);
  }
  return streams;
}

/**
 * By the streams' own index: one by event id would cost every append more than these looks cost. Each stream is gone through
 * once, however many events are asked for in it: that is what `offset 0` is for.
 */
export async function findEventIds(pool: Pool, asked: readonly EventInStream[]): Promise<Set<string>> {
  if (asked.length === 0) return new Set();
  const streamIds = asked.map(({ streamId }) => streamId);
  const { rows } = await pool.query<{ eventId: string }>({
    name: 'opstruth find event ids',
    text: `select held.event_id::text as "eventId"
           from unnest($3::text[]) as streams (stream_id) cross join lateral
             (select event_id from opstruth.events e where e.stream_id = streams.stream_id offset 0) held
           where (streams.stream_id, held.event_id) in (select * from unnest($1::text[], $2::uuid[]))`,
    values: [streamIds, asked.map(({ eventId }) => eventId), [...new Set(streamIds)]],
  });
  return new Set(rows.map(({ eventId }) => eventId));
}

/** The last position below the horizon. */
export function readTail(pool: Pool): Promise<Position> {
  return lastPosition(pool, `where commit_xid < ${HORIZON}`);
}

/** How many events are committed now, those included that readers must still wait for. */
export async function countCommitted(pool: Pool): Promise<number> {
  const { rows } = await pool.query<{ events: string }>('select count(*) as events from opstruth.events');
  return Number(rows[0]!.events);
}

/** The position of the last committed event, even of one that no reader may see yet. */
export function readLastCommitted(pool: Pool): Promise<Position> {
  return lastPosition(pool, '');
}

async function lastPosition(pool: Pool, where: string): Promise<Position> {
  const { rows } = await pool.query<{ commit: string; prepare: string }>(
    `select commit_xid::text as commit, position::text as prepare from opstruth.events
     ${where} order by commit_xid desc, position desc limit 1`,
  );
  const [last] = rows;
  return last ? { commit: BigInt(last.commit), prepare: BigInt(last.prepare) } : START;
}

/** How many events lie after `from` below the horizon, counted up to `limit`, and when the first was recorded. */
export async function readPending(
  pool: Pool,
  from: Position,
  limit: number,
): Promise<{ events: number; oldestRecordedAt: Instant | null }> {
  const { rows } = await pool.query<{ events: number; oldest: string | null }>(
    `select
       (select count(*)::int from (select from opstruth.events where ${READABLE_AFTER} limit $3) waiting) as events,
       (select ${RECORDED_AT} from opstruth.events where ${READABLE_AFTER}
        order by commit_xid, position limit 1) as oldest`,
    [String(from.commit), String(from.prepare), limit],
  );
  const { events, oldest } = rows[0]!;
  return { events, oldestRecordedAt: oldest === null ? null : withoutEmptyMicros(oldest) };
}

/** Whether anything committed lies after `from`, below the horizon or not yet. */
export async function hasMore(pool: Pool, from: Position): Promise<boolean> {
  const { rows } = await pool.query<{ more: boolean }>({
    name: 'opstruth has more',
    text: `select exists (select from opstruth.events where ${AFTER}) as more`,
    values: [String(from.commit), String(from.prepare)],
  });
  return rows[0]!.more;
}

/**
 * The log's name, made at its first use. Throws when the log was restored into a server whose transaction ids are
 * behind the log's own: new events would sort before old ones and no reader would ever see them.
 */
export async function readIdentity(pool: Pool): Promise<string> {
  const { rows } = await pool.query<{ identity: string | null; ahead: string | null }>(
    `select
       (select identity::text from opstruth.event_log) as identity,
       (select commit_xid::text from opstruth.events where commit_xid >= pg_snapshot_xmax(pg_current_snapshot())
        order by commit_xid desc limit 1) as ahead`,
  );
  const { identity, ahead } = rows[0]!;
  if (ahead !== null)
    throw new Error(
      `the event log ends at transaction ${ahead}, which this server has not reached: it was restored from a dump of ` +
        'another server. Restore a physical backup, or advance this server past it with pg_resetwal',
    );
  if (identity !== null) return identity;
  await pool.query('insert into opstruth.event_log default values on conflict do nothing');
  return readIdentity(pool);
}

/** Parsing by type costs more than it brings: two columns are JSON, two are bigint, the rest is text. */
const AS_TEXT: CustomTypesConfig = { getTypeParser: () => (value: unknown) => value };

async function readEvents(pool: Pool, name: string, text: string, values: unknown[]): Promise<StoredEvent[]> {
  const query: QueryArrayConfig = { name, text, values, rowMode: 'array', types: AS_TEXT };
  const { rows } = await pool.query<string[]>(query);
  // The columns are those of COLUMNS, all NOT NULL and left as text.
  return (rows as unknown as Row[]).map(storedEvent);
}

function storedEvent(row: Row): StoredEvent {
  const [streamId, revision, commit, prepare, eventId, type, data, metadata, recordedAt] = row;
  return {
    streamId,
    revision: Number(revision),
    position: { commit: BigInt(commit), prepare: BigInt(prepare) },
    eventId,
    type,
    data: JSON.parse(data) as unknown,
    metadata: JSON.parse(metadata) as unknown,
    recordedAt: withoutEmptyMicros(recordedAt),
  };
}

/** The canonical text of an instant that was printed with six digits. */
function withoutEmptyMicros(text: string): Instant {
  return text.endsWith('000Z') ? `${text.slice(0, -4)}Z` : text;
}
