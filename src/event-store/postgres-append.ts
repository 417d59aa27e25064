import { DatabaseError } from 'pg';
import type { Pool } from 'pg';
import type { Position } from '../events/position';
import { encodeEvents, refusalOf } from './encode-event';
import type { EncodedEvent } from './encode-event';
import type { Append, AppendResult, RefusedAppend } from './event-store';
import { binaryArray, JSON_OID, plainArray, TEXT_OID } from './postgres-arrays';

/**
 * Checks each stream's tail and writes the events of those that are where they should be; the other streams of the
 * call get nothing. One statement in its own transaction: see migrations/0001_event_store.sql for why that matters.
 * Positions follow the order given, since defaults are computed above the sort.
 */
const APPEND = `
  with asked as materialized (
    select a.ord, a.stream_id, a.last_revision, t.revision as actual, t.revision is not distinct from a.expected as fits
    from unnest($1::text[], $2::int[], $3::int[]) with ordinality as a (stream_id, expected, last_revision, ord),
      lateral (select max(e.revision) as revision from opstruth.events e where e.stream_id = a.stream_id) t
  ), written as (
    insert into opstruth.events (stream_id, revision, event_id, type, data, metadata)
    select asked.stream_id, n.revision, n.event_id, n.type, n.data, n.metadata
    from unnest($4::int[], $5::int[], $6::uuid[], $7::text[], $8::json[], $9::json[])
      with ordinality as n (append, revision, event_id, type, data, metadata, ord)
    join asked on asked.ord = n.append and asked.fits
    order by n.ord
    returning stream_id, revision, commit_xid, position
  )
  select asked.actual, written.commit_xid::text as commit, written.position::text as prepare
  from asked left join written on written.stream_id = asked.stream_id and written.revision = asked.last_revision
  order by asked.ord`;

/** Both null where nothing was written. */
interface Place {
  readonly commit: string | null;
  readonly prepare: string | null;
}

interface AppendRow extends Place {
  readonly actual: number | null;
}

/** What lies where each append would have written, append by append. */
const IN_PLACE = `
  select e.event_id::text as "eventId", e.commit_xid::text as commit, e.position::text as prepare
  from unnest($1::text[], $2::int[], $3::int[]) with ordinality as a (stream_id, expected, last_revision, ord)
  join opstruth.events e
    on e.stream_id = a.stream_id and e.revision > coalesce(a.expected, -1) and e.revision <= a.last_revision
  order by a.ord, e.revision`;

interface InPlaceRow extends Place {
  readonly eventId: string;
}

/** Another appender came between the look at the tail and the write; nothing of the statement remains. */
const CONTENTION_CODES = new Set(['23505', '40P01', '40001']);
/** Whole statements tried before each append goes alone. A second one sees the tail that beat the first. */
const TOGETHER_ATTEMPTS = 3;
/** More appends than this in one statement are joined to their events by a plan for that many, made each time. */
const FEW_APPENDS = 100;
/** One append alone loses its place once and then finds the tail moved; the rest is for deadlock victims. */
const ALONE_ATTEMPTS = 5;

interface Prepared {
  readonly streamId: string;
  /** Null for no stream. */
  readonly expected: number | null;
  readonly lastRevision: number;
  readonly events: readonly EncodedEvent[];
}

export interface AppendPools {
  readonly pool: Pool;
  /** For small appends, which a plan made once serves. */
  readonly lookups: Pool;
}

/**
 * Writes each append whole or not at all, in one round trip unless another appender interferes or a retry is found.
 * Safe to repeat after any error: what had been written answers `appended` with its original place.
 */
export async function appendEvents(pools: AppendPools, appends: readonly Append[]): Promise<AppendResult[]> {
  refuseRepeatedStreams(appends);
  const asked = appends.map(prepareOrRefuse);
  const prepared = asked.filter((one): one is Prepared => !('kind' in one));
  const rows = prepared.length === 0 ? [] : await writeTogether(pools, prepared);
  const written = (await settle(pools.pool, prepared, rows)).values();
  return asked.map((one) => ('kind' in one ? one : written.next().value!));
}

function prepareOrRefuse(append: Append): Prepared | RefusedAppend {
  try {
    return prepare(append);
  } catch (error) {
    const refusal = refusalOf(error);
    if (!refusal) throw error;
    return refusal;
  }
}

function prepare(append: Append): Prepared {
  const expected = append.expectedRevision === 'no_stream' ? null : append.expectedRevision;
  const lastRevision = (expected ?? -1) + append.events.length;
  return { streamId: append.streamId, expected, lastRevision, events: encodeEvents(append) };
}

function refuseRepeatedStreams(appends: readonly Append[]): void {
  const seen = new Set<string>();
  for (const { streamId } of appends) {
    if (seen.has(streamId))
      throw new Error(`stream ${streamId} appears twice in one call; merge its events first`);
    seen.add(streamId);
  }
}

async function writeTogether(pools: AppendPools, appends: readonly Prepared[]): Promise<AppendRow[]> {
  for (let attempt = 1; attempt <= TOGETHER_ATTEMPTS; attempt++) {
    try {
      return await write(pools, appends);
    } catch (error) {
      if (!isContention(error)) throw error;
    }
  }
  const rows: AppendRow[] = [];
  for (const append of appends) rows.push(await writeAlone(pools, append));
  return rows;
}

async function writeAlone(pools: AppendPools, append: Prepared): Promise<AppendRow> {
  for (let attempt = 1; ; attempt++) {
    try {
      const [row] = await write(pools, [append]);
      return row!;
    } catch (error) {
      if (!isContention(error) || attempt === ALONE_ATTEMPTS) throw error;
    }
  }
}

function isContention(error: unknown): boolean {
  return error instanceof DatabaseError && CONTENTION_CODES.has(error.code ?? '');
}

/** One row per append, in the order given. */
async function write({ pool, lookups }: AppendPools, appends: readonly Prepared[]): Promise<AppendRow[]> {
  const appendNumbers: number[] = [];
  const revisions: number[] = [];
  const events: EncodedEvent[] = [];
  appends.forEach((append, index) => {
    append.events.forEach((event, nth) => {
      appendNumbers.push(index + 1);
      revisions.push((append.expected ?? -1) + 1 + nth);
      events.push(event);
    });
  });
  const values = [
    ...streamColumns(appends),
    plainArray(appendNumbers),
    plainArray(revisions),
    plainArray(events.map((event) => event.eventId)),
    binaryArray(TEXT_OID, events, (event) => event.type),
    binaryArray(JSON_OID, events, (event) => event.data),
    binaryArray(JSON_OID, events, (event) => event.metadata),
  ];
  const { rows } = await (appends.length > FEW_APPENDS
    ? pool.query<AppendRow>(APPEND, values)
    : lookups.query<AppendRow>({ name: 'opstruth append', text: APPEND, values }));
  return rows;
}

function streamColumns(appends: readonly Prepared[]): unknown[] {
  return [
    binaryArray(TEXT_OID, appends, (append) => append.streamId),
    plainArray(appends.map((append) => append.expected)),
    plainArray(appends.map((append) => append.lastRevision)),
  ];
}

async function settle(
  pool: Pool,
  appends: readonly Prepared[],
  rows: readonly AppendRow[],
): Promise<AppendResult[]> {
  const places = await findRetries(pool, appends, rows);
  return appends.map((append, index) => {
    const { actual } = rows[index]!;
    const written = positionOf(rows[index]!);
    const position = written ?? places.get(append);
    if (position)
      return { kind: 'appended', revision: append.lastRevision, position, isNew: written !== undefined };
    return { kind: 'conflict', actualRevision: actual ?? 'no_stream' };
  });
}

/** Where the appends that did not fit were already written by an earlier, identical call. */
async function findRetries(
  pool: Pool,
  appends: readonly Prepared[],
  rows: readonly AppendRow[],
): Promise<Map<Prepared, Position>> {
  const places = new Map<Prepared, Position>();
  const candidates = appends.filter(
    (append, index) => rows[index]!.commit === null && (rows[index]!.actual ?? -1) >= append.lastRevision,
  );
  if (candidates.length === 0) return places;
  const { rows: stored } = await pool.query<InPlaceRow>(IN_PLACE, streamColumns(candidates));
  let at = 0;
  for (const append of candidates) {
    // Revisions have no gaps and the stream reaches as far, so each candidate finds as many events as it has.
    const there = stored.slice(at, (at += append.events.length));
    const same = append.events.every(({ eventId }, nth) => eventId.toLowerCase() === there[nth]!.eventId);
    if (same) places.set(append, positionOf(there.at(-1)!)!);
  }
  return places;
}

function positionOf({ commit, prepare }: Place): Position | undefined {
  return commit === null || prepare === null
    ? undefined
    : { commit: BigInt(commit), prepare: BigInt(prepare) };
}
