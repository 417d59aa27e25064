import type { Pool } from 'pg';
import type { StoredEvent } from '../events/operation-run-events';
import { micros } from '../events/instant';
import { comparePositions } from '../events/position';
import { openProjection } from '../projector/generation-projector';
import type { ProjectorOptions } from '../projector/generation-projector';
import { indexesSql } from '../projector/generation-schema';
import { generationById, isHistorical } from '../projector/generations';
import type { Generation } from '../projector/generations';
import { tablesOf } from '../projector/surface-content';
import { emptyGeneration, loadFacts } from './facts-load';

/**
 * Events per transaction while loading. Small enough that the transaction is over quickly: while it runs, no event
 * committed after its beginning is visible to anybody (see docs/adr/0001).
 */
const LOAD_BATCH = 4_000;

export interface BuildOptions extends ProjectorOptions {
  /** (Default: 4000) */
  readonly loadBatchSize?: number;
}

/** Somebody ended the replay while it was at work. */
export class ReplayEndedError extends Error {
  override readonly name = 'ReplayEndedError';
}

/**
 * Makes a generation ready: loads it from the log (or from another's run facts) without secondary indexes, makes the
 * indexes, and catches up. Goes on from wherever an earlier attempt was killed. Returns when it is `ready` or `signal`
 * aborts; a ready generation that is not historical is then followed by the projector like the live one.
 */
export async function buildGeneration(
  generationId: number,
  options: BuildOptions,
  signal: AbortSignal,
): Promise<void> {
  const { pool, surfaces } = options;
  let generation = await building(pool, generationId);
  if (generation.phase === 'loading') {
    if (generation.madeBy === 'facts') await loadFacts(generation, options, signal);
    else await loadEvents(generation, options, signal);
    if (signal.aborted) return;
    await enterPhase(pool, generationId, 'indexing');
    generation = await building(pool, generationId);
  }
  if (generation.phase === 'indexing') {
    for (const statement of indexesSql(generation.schema, surfaces)) {
      if (signal.aborted) return;
      await makeIndex(pool, statement, generation.schema);
    }
    const tables = ['run_facts', ...tablesOf(surfaces).map(({ name }) => name)];
    for (const table of tables) await pool.query(`vacuum (analyze) ${generation.schema}.${table}`);
    await enterPhase(pool, generationId, 'following');
    generation = await building(pool, generationId);
  }
  // What was appended while loading and indexing; the projector takes over from here.
  if (!isHistorical(generation)) await loadEvents(generation, options, signal);
  if (signal.aborted) return;
  const { rowCount } = await pool.query(
    `update opstruth.generations set state = 'ready', ready_at = now(), failure = null where id = $1 and state = 'building'`,
    [generationId],
  );
  if (rowCount !== 1) throw new ReplayEndedError(`replay ${generationId} was ended by somebody else`);
}

/** Folds the log from the checkpoint to its present end, or to where a historical generation stops. */
async function loadEvents(generation: Generation, options: BuildOptions, signal: AbortSignal): Promise<void> {
  // Which streams had ended is known to the attempt that read them all: a killed one begins anew.
  if (generation.untilAt !== null && generation.eventsApplied > 0)
    await emptyGeneration(options.pool, generation, options.surfaces);
  const projection = await openProjection(generation.id, options);
  const client = await options.pool.connect();
  const beyond = beyondEnd(generation);
  const batchSize = options.loadBatchSize ?? LOAD_BATCH;
  let from = projection.generation.checkpoint;
  let reading = options.store.readAll(from, batchSize);
  let writing: Promise<void> = Promise.resolve();
  try {
    for (;;) {
      const read = await reading;
      const end = read.findIndex((event) => beyond.stops(event));
      const events = end === -1 ? read : read.slice(0, end);
      if (events.length === 0 || signal.aborted) break;
      from = events.at(-1)!.position;
      // The next batch is on its way while this one is folded, and the one before it written.
      reading = end === -1 ? options.store.readAll(from, batchSize) : Promise.resolve([]);
      reading.catch(() => undefined); // awaited at the next turn
      const kept = events.filter((event) => !beyond.leavesOut(event));
      const prepared = await projection.prepare(kept, from);
      await writing;
      writing = projection.commit(client, prepared);
      writing.catch(() => undefined); // awaited at the next turn or below
    }
    await writing;
  } finally {
    await Promise.allSettled([writing, reading]);
    client.release();
  }
}

interface End {
  /** Whether this event and all after it lie beyond the end. */
  stops(event: StoredEvent): boolean;
  /** Whether this event is left out, though later ones may count. */
  leavesOut(event: StoredEvent): boolean;
}

/**
 * The end of a historical generation. By position it is a cut through the log. By instant it is what had happened by
 * then at the source: events of a later source time are left out, and whatever follows them in their stream.
 */
function beyondEnd({ untilAt, untilPosition }: Generation): End {
  if (untilPosition)
    return { stops: (event) => comparePositions(event.position, untilPosition) > 0, leavesOut: () => false };
  if (untilAt === null) return { stops: () => false, leavesOut: () => false };
  const end = micros(untilAt);
  const ended = new Set<string>();
  return {
    stops: () => false,
    leavesOut(event) {
      if (ended.has(event.streamId)) return true;
      const { occurredAt } = event.data as { occurredAt?: unknown };
      // An event without a readable time is kept, so that it is parked and seen.
      const later = typeof occurredAt === 'string' && microsOr(occurredAt, end) > end;
      if (later) ended.add(event.streamId);
      return later;
    },
  };
}

function microsOr(text: string, otherwise: number): number {
  try {
    return micros(text);
  } catch {
    return otherwise;
  }
}

/**
 * Makes an index without holding a transaction id for its duration (`concurrently`), because readers of the log wait for
 * the oldest one: see docs/adr/0001. One that a kill left half made is made anew.
 */
async function makeIndex(pool: Pool, statement: string, schema: string): Promise<void> {
  const name = /^create index (\S+)/.exec(statement)![1]!;
  const { rows } = await pool.query<{ valid: boolean }>(
    `select indisvalid as valid from pg_index where indexrelid = to_regclass($1)`,
    [`${schema}.${name}`],
  );
  if (rows[0]?.valid) return;
  if (rows[0]) await pool.query(`drop index concurrently ${schema}.${name}`);
  await pool.query(statement.replace(/^create index/, 'create index concurrently'));
}

async function enterPhase(pool: Pool, id: number, phase: Generation['phase']): Promise<void> {
  await pool.query('update opstruth.generations set phase = $2 where id = $1', [id, phase]);
}

async function building(pool: Pool, id: number): Promise<Generation> {
  const generation = await generationById(pool, id);
  if (generation?.state !== 'building')
    throw new ReplayEndedError(`replay ${id} is ${generation?.state ?? 'unknown'}: nothing is left to build`);
  return generation;
}
