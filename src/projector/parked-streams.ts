import type { Pool } from 'pg';
import type { ClassifiedRun } from '../classifier/classified-run';
import { StatementNames } from '../db/statement-names';
import { inTransaction } from '../db/transaction';
import type { Judge } from '../domain/classification';
import type { EventStore } from '../event-store/event-store';
import { isRunStream, runIdOf } from '../events/operation-run-events';
import { DiscardedEvents } from './discarded-events';
import { foldBatch } from './fold-batch';
import { FOLLOWING, followsLog, listGenerations, lockRegistry, lockRows } from './generations';
import type { Generation } from './generations';
import { tellProjected } from './projection-news';
import { readStates } from './run-states';
import type { Surface } from './surface';
import { contentOf, tablesOf } from './surface-content';
import { openTableConnection } from './table-connection';
import type { TableConnection } from './table-connection';
import { batchQueries, batchStatements } from './table-writer';

export interface ParkedStream {
  readonly streamId: string;
  /** Null of a stream that is no run's. */
  readonly runId: string | null;
  /** The revision of the event that failed, its type, and why. */
  readonly revision: number;
  readonly eventType: string;
  readonly cause: string;
  /** Events set aside in all, the failed one included. */
  readonly events: number;
  readonly parkedAt: string;
}

export async function loadParkedStreams(
  pool: Pick<Pool, 'query'>,
  schema: string,
): Promise<{ streams: Set<string>; letters: number }> {
  const { rows } = await pool.query<{ stream_id: string; events: string }>(
    `select stream_id, count(*) as events from ${schema}.parked_events group by stream_id`,
  );
  return {
    streams: new Set(rows.map((row) => row.stream_id)),
    letters: rows.reduce((sum, row) => sum + Number(row.events), 0),
  };
}

export async function listParked(pool: Pick<Pool, 'query'>, generation: Generation): Promise<ParkedStream[]> {
  const { rows } = await pool.query<{
    stream_id: string;
    revision: number;
    event_type: string;
    cause: string | null;
    events: string;
    parked_at: Date;
  }>(
    `select distinct on (stream_id) stream_id, revision, event_type, cause, parked_at,
            count(*) over (partition by stream_id) as events
     from ${generation.schema}.parked_events order by stream_id, revision`,
  );
  return rows.map((row) => ({
    streamId: row.stream_id,
    runId: isRunStream(row.stream_id) ? runIdOf(row.stream_id) : null,
    revision: row.revision,
    eventType: row.event_type,
    cause: row.cause ?? 'behind an earlier event',
    events: Number(row.events),
    parkedAt: row.parked_at.toISOString(),
  }));
}

export interface ParkedContext {
  readonly pool: Pool;
  readonly store: EventStore;
  readonly surfaces: readonly Surface[];
  readonly judge: Judge;
}

export type RetryResult =
  | { readonly kind: 'not_parked' }
  /** Every event set aside has been projected. */
  | { readonly kind: 'cleared'; readonly events: number }
  /** Some may have been; the stream stays parked from `revision` on. */
  | {
      readonly kind: 'parked_again';
      readonly events: number;
      readonly revision: number;
      readonly cause: string;
    };

/** Why an event cannot be left out now. */
export class DiscardRefusedError extends Error {
  override readonly name = 'DiscardRefusedError';
}

/** Keeps what was done, in the transaction that does it. */
export type RecordResult = (connection: Pick<TableConnection, 'query'>, result: RetryResult) => Promise<void>;

/**
 * Tries the events of a parked stream again, in order, in one transaction that also tells the running projector to
 * drop its memory (`epoch`). For use after the code, or the event's cause, has been mended.
 */
export async function retryParked(
  generation: Generation,
  streamId: string,
  context: ParkedContext,
  record?: RecordResult,
): Promise<RetryResult> {
  return inOneTransaction(context, async (connection) => {
    // Waits for the batch that the projector is committing and keeps the next one out.
    await lockRows(connection, [generation.id]);
    const result = await retryInside(connection, generation, streamId, context);
    if (result.kind === 'not_parked') return result;
    await tellProjectors(connection, generation, [generation.id]);
    await record?.(connection, result);
    return result;
  });
}

/**
 * Leaves the failed event of a parked stream out for good (in later generations too) and tries those behind it.
 * Recorded with who and why. Throws DiscardRefusedError.
 */
export async function discardParked(
  generation: Generation,
  streamId: string,
  decision: { readonly actor: string; readonly reason: string },
  context: ParkedContext,
  record?: RecordResult,
): Promise<RetryResult> {
  return inOneTransaction(context, async (connection) => {
    await lockRegistry(connection);
    const following = await followingGenerations(connection, context);
    await lockRows(
      connection,
      following.map(({ id }) => id),
    );
    const failed = await failedEvent(connection, generation, streamId);
    if (!failed) return { kind: 'not_parked' };
    await refuseIfApplied(connection, following, generation, failed, context);
    await connection.query(
      `insert into opstruth.discarded_events (stream_id, revision, event_type, actor, reason)
       values ($1, $2, $3, $4, $5) on conflict do nothing`,
      [streamId, failed.revision, failed.eventType, decision.actor, decision.reason],
    );
    const result = await retryInside(connection, generation, streamId, context);
    // All of them: those that have not come to the event yet must know of it by then.
    await tellProjectors(
      connection,
      generation,
      following.map(({ id }) => id),
    );
    await record?.(connection, result);
    return result;
  });
}

/** The event that `discardParked` would leave out now; null when the stream is not parked. Throws DiscardRefusedError. */
export async function previewDiscard(
  generation: Generation,
  streamId: string,
  context: ParkedContext,
): Promise<ParkedStream | null> {
  const { pool } = context;
  const stream = (await listParked(pool, generation)).find((one) => one.streamId === streamId) ?? null;
  if (stream)
    await refuseIfApplied(pool, await followingGenerations(pool, context), generation, stream, context);
  return stream;
}

async function inOneTransaction<T>(
  { pool }: ParkedContext,
  work: (connection: TableConnection) => Promise<T>,
): Promise<T> {
  const connection = await openTableConnection(pool);
  try {
    return await inTransaction(connection, () => work(connection));
  } finally {
    await connection.close();
  }
}

/** Those that follow the log, or will; of another version nobody here goes on with any. */
async function followingGenerations(
  connection: Pick<Pool, 'query'>,
  { surfaces }: ParkedContext,
): Promise<Generation[]> {
  return (await listGenerations(connection)).filter((one) =>
    followsLog(one, surfaces, [...FOLLOWING, 'building']),
  );
}

/** The new epoch fences whoever projects: what they have in memory is of before. */
async function tellProjectors(
  connection: TableConnection,
  { id, checkpoint }: Generation,
  ids: readonly number[],
): Promise<void> {
  await connection.query('update opstruth.generations set epoch = epoch + 1 where id = any($1::int[])', [
    ids,
  ]);
  // The rows are others at the position where the generation already was.
  await connection.query(tellProjected(id, checkpoint));
}

type FailedEvent = Pick<ParkedStream, 'streamId' | 'revision' | 'eventType'>;

async function failedEvent(
  connection: TableConnection,
  { schema }: Generation,
  streamId: string,
): Promise<FailedEvent | null> {
  const { rows } = await connection.query<{ revision: number; event_type: string }>(
    `select revision, event_type from ${schema}.parked_events where stream_id = $1 order by revision limit 1`,
    [streamId],
  );
  const [first] = rows;
  return first ? { streamId, revision: first.revision, eventType: first.event_type } : null;
}

/**
 * A generation that shows what the event did would go on to, while every fold from now on leaves it out. One that is being
 * built may have passed it, or be about to, with the discards of its beginning.
 */
async function refuseIfApplied(
  connection: Pick<Pool, 'query'>,
  following: readonly Generation[],
  generation: Generation,
  { streamId, revision }: FailedEvent,
  { judge }: ParkedContext,
): Promise<void> {
  if (!isRunStream(streamId)) return;
  const others = following.filter(({ id }) => id !== generation.id);
  const building = others.find(({ state }) => state === 'building');
  if (building)
    throw new DiscardRefusedError(
      `generation ${building.id} is being built, and may have applied the event: wait for it or abort it first`,
    );
  const applied: Generation[] = [];
  for (const other of others) {
    const [run] = await readStates(connection, other.schema, judge, [runIdOf(streamId)]);
    if (run && run.facts.version > revision) applied.push(other);
  }
  if (applied.length > 0) throw new DiscardRefusedError(appliedWords(applied, { streamId, revision }));
}

/** All of them at once, so that nobody ends one and then learns that another stands in the way as well. */
function appliedWords(
  applied: readonly Generation[],
  { streamId, revision }: Pick<FailedEvent, 'streamId' | 'revision'>,
): string {
  const named = applied.map(({ id, state }) => `${id} (${state})`).join(', ');
  const live = applied.find(({ state }) => state === 'live');
  return (
    `${applied.length === 1 ? `generation ${named} has` : `generations ${named} have`} applied revision ${revision} of ` +
    `${streamId}, and would differ from every later fold: mend the code that refuses it, or first ` +
    (live
      ? `make another generation live, and then end ${applied.map(({ id }) => id).join(', ')}`
      : `end ${applied.length === 1 ? 'it' : 'them'}`)
  );
}

async function retryInside(
  connection: TableConnection,
  generation: Generation,
  streamId: string,
  { store, surfaces, judge }: ParkedContext,
): Promise<RetryResult> {
  const { rows: parked } = await connection.query<{ revision: number; parked_at: string }>(
    `delete from ${generation.schema}.parked_events where stream_id = $1 returning revision, parked_at::text`,
    [streamId],
  );
  if (parked.length === 0) return { kind: 'not_parked' };
  const revisions = parked.map((letter) => letter.revision);
  const last = Math.max(...revisions);
  const events = (await store.readStream(streamId, Math.min(...revisions))).filter(
    (event) => event.revision <= last,
  );
  const states = await readStates(connection, generation.schema, judge, [runIdOf(streamId)]);
  const before: ClassifiedRun | null = states[0] ?? null;
  const discarded = (await new DiscardedEvents(connection).refresh()).in;
  const tables = tablesOf(surfaces);
  const batch = foldBatch(events, {
    stateOf: () => before && { ...before, incomplete: false },
    judge,
    isParked: () => false,
    discardedIn: discarded,
    contentOf: (run) => contentOf(tables, run),
  });
  const statements = batchStatements(generation.schema, tables, batch.changes, batch.letters);
  await connection.together(batchQueries(statements, new StatementNames('opstruth retry')));
  // What stays parked has been since it first was.
  await connection.query(
    `update ${generation.schema}.parked_events p set parked_at = was.parked_at
     from unnest($2::int[], $3::timestamptz[]) as was (revision, parked_at)
     where p.stream_id = $1 and p.revision = was.revision`,
    [streamId, revisions, parked.map(({ parked_at }) => parked_at)],
  );
  const failed = batch.letters[0];
  return failed
    ? {
        kind: 'parked_again',
        events: batch.letters.length,
        revision: failed.event.revision,
        cause: failed.cause ?? 'behind an earlier event',
      }
    : { kind: 'cleared', events: events.length };
}
