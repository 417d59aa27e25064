import type { Pool, PoolClient } from 'pg';
import type { ClassifiedRun } from '../classifier/classified-run';
import type { Judge } from '../domain/classification';
import type { EventStore } from '../event-store/event-store';
import { runIdOf } from '../events/operation-run-events';
import type { StoredEvent } from '../events/operation-run-events';
import { comparePositions, formatPosition } from '../events/position';
import type { Position } from '../events/position';
import { foldBatch } from './fold-batch';
import type { FoldedBatch } from './fold-batch';
import { generationById } from './generations';
import type { Generation } from './generations';
import { loadDiscards, loadParkedStreams } from './parked-streams';
import { RunStates } from './run-states';
import type { Surface } from './surface';
import { contentOf, tablesOf } from './surface-content';
import { batchWrites, send } from './table-writer';
import type { Write } from './table-writer';

export interface ProjectorOptions {
  readonly pool: Pool;
  readonly store: EventStore;
  readonly surfaces: readonly Surface[];
  readonly judge: Judge;
  /** Events per transaction at most. More share the cost of a commit; fewer are visible sooner while catching up. */
  readonly batchSize: number;
  /** Runs kept in memory (about 2 KiB each). */
  readonly cachedRuns?: number;
  /** Parked events kept per generation before the projector stops and asks for help. */
  readonly parkedLimit?: number;
  readonly onBatch?: (batch: AppliedBatch) => void;
}

export interface AppliedBatch {
  readonly events: number;
  readonly runs: number;
  readonly parked: number;
  readonly checkpoint: Position;
}

/** Somebody else moved the checkpoint or the content: what this process has in memory is no longer the truth. */
export class FencedError extends Error {
  override readonly name = 'FencedError';
}

/** The log ends before the checkpoint: it was restored or wiped, and going on would skip what comes below. */
export class CheckpointBeyondTailError extends Error {
  override readonly name = 'CheckpointBeyondTailError';
}

/** So many streams fail that this is no single bad event: going on would hide a broken deployment. */
export class ParkedLimitError extends Error {
  override readonly name = 'ParkedLimitError';
}

const PROJECTED_CHANNEL = 'opstruth_projected';
const CACHED_RUNS = 20_000;
const PARKED_LIMIT = 10_000;

/**
 * Brings one generation forward, batch by batch: read, fold, classify, show, and one transaction with all rows,
 * counter deltas, run facts, parked events and the checkpoint. While PostgreSQL writes one batch the next is folded.
 * Runs until `signal` aborts; throws FencedError when another process has taken over.
 */
export async function projectGeneration(
  generationId: number,
  options: ProjectorOptions,
  signal: AbortSignal,
): Promise<void> {
  const projection = await openProjection(generationId, options);
  const client = await options.pool.connect();
  const stopping = new AbortController();
  const until = AbortSignal.any([signal, stopping.signal]);
  let writing: Promise<void> = Promise.resolve();
  try {
    const batches = options.store.subscribe(projection.generation.checkpoint, {
      batchSize: options.batchSize,
      signal: until,
    });
    for await (const events of batches) {
      const prepared = await projection.prepare(events);
      await writing;
      if (until.aborted) break;
      writing = projection.commit(client, prepared);
      // Awaited before the next commit; without this a failure in between would be an unhandled rejection.
      writing.catch(() => stopping.abort());
    }
    await writing;
  } finally {
    stopping.abort();
    await Promise.allSettled([writing]);
    client.release();
  }
}

/** Applies everything up to the log's present end and returns: for imports, tests and start-up. */
export async function catchUp(
  generationId: number,
  options: ProjectorOptions,
  signal?: AbortSignal,
): Promise<void> {
  const projection = await openProjection(generationId, options);
  const client = await options.pool.connect();
  let from = projection.generation.checkpoint;
  let writing: Promise<void> = Promise.resolve();
  try {
    while (!signal?.aborted) {
      const events = await options.store.readAll(from, options.batchSize);
      if (events.length === 0) break;
      from = events.at(-1)!.position;
      const prepared = await projection.prepare(events);
      await writing;
      writing = projection.commit(client, prepared);
      writing.catch(() => undefined); // awaited on the next turn, or below
    }
    await writing;
  } finally {
    await Promise.allSettled([writing]);
    client.release();
  }
}

export interface PreparedBatch extends FoldedBatch {
  readonly eventCount: number;
  readonly from: Position;
  readonly to: Position;
  /** Made while the batch before it is written, so that the database does not wait for them. */
  readonly writes: readonly Write[];
}

export interface Projection {
  readonly generation: Generation;
  /** Folds events; the checkpoint will move to `upTo` (by default the last of them), past events that were left out. */
  prepare(events: readonly StoredEvent[], upTo?: Position): Promise<PreparedBatch>;
  commit(client: PoolClient, batch: PreparedBatch): Promise<void>;
}

/** A generation opened for writing: memory and tables move together from its checkpoint on. */
export async function openProjection(generationId: number, options: ProjectorOptions): Promise<Projection> {
  const { pool, judge, surfaces } = options;
  const generation = await generationById(pool, generationId);
  if (!generation) throw new Error(`there is no generation ${generationId}`);
  await refuseBeyondTail(generation, options.store);
  const { schema } = generation;
  const tables = tablesOf(surfaces);
  const states = new RunStates(pool, schema, judge, options.cachedRuns ?? CACHED_RUNS);
  const parked = await loadParkedStreams(pool, schema);
  const discards = await loadDiscards(pool);
  let letters = parked.letters;
  let prepared = generation.checkpoint;

  return {
    generation,
    async prepare(events, upTo = events.at(-1)!.position) {
      const known = await states.before(events);
      const stateOf = (runId: string): ClassifiedRun | null => known.get(runId) ?? null;
      const batch = foldBatch(events, {
        stateOf,
        judge,
        isParked: (streamId) => parked.streams.has(streamId),
        isDiscarded: (streamId, revision) => discards.has(`${streamId}@${revision}`),
        contentOf: (run) => contentOf(tables, run),
      });
      // From here on memory is ahead of the tables; a failed commit ends this projection and its memory with it.
      states.remember(batch.changes);
      for (const streamId of batch.newlyParked) parked.streams.add(streamId);
      letters += batch.letters.length;
      if (letters > (options.parkedLimit ?? PARKED_LIMIT))
        throw new ParkedLimitError(
          `${letters} events of generation ${generationId} are parked, more than a few bad ones: ` +
            `see \`opstruth parked list\`; first of this batch: ${runIdOf(batch.letters[0]!.event.streamId)}, ${batch.letters[0]!.cause ?? 'behind an earlier one'}`,
        );
      const from = prepared;
      prepared = upTo;
      const writes = batchWrites(schema, tables, batch.changes, batch.letters);
      return { ...batch, eventCount: events.length, from, to: prepared, writes };
    },
    async commit(client, batch) {
      await client.query('begin');
      try {
        await moveCheckpoint(client, generation, batch);
        await send(client, batch.writes);
        await client.query(`select pg_notify('${PROJECTED_CHANNEL}', '')`);
        await client.query('commit');
      } catch (error) {
        await client.query('rollback');
        throw error;
      }
      options.onBatch?.({
        events: batch.eventCount,
        runs: batch.changes.size,
        parked: batch.letters.length,
        checkpoint: batch.to,
      });
    },
  };
}

/** Compare-and-set: the one guard that no two processes apply the same events, whatever they believe of the lease. */
async function moveCheckpoint(
  client: PoolClient,
  generation: Generation,
  batch: PreparedBatch,
): Promise<void> {
  const { rowCount } = await client.query({
    name: 'move checkpoint',
    text: `update opstruth.generations
           set checkpoint_commit = $4, checkpoint_prepare = $5, events_applied = events_applied + $6, checkpoint_at = now()
           where id = $1 and checkpoint_commit = $2 and checkpoint_prepare = $3 and epoch = $7
             and state in ('building', 'ready', 'live', 'standby')`,
    values: [
      generation.id,
      batch.from.commit,
      batch.from.prepare,
      batch.to.commit,
      batch.to.prepare,
      batch.eventCount,
      generation.epoch,
    ],
  });
  if (rowCount !== 1)
    throw new FencedError(
      `generation ${generation.id} is no longer at ${formatPosition(batch.from)}: another process has moved it`,
    );
}

async function refuseBeyondTail(generation: Generation, store: EventStore): Promise<void> {
  if (generation.eventsApplied === 0) return;
  const tail = await store.tail();
  // The tail that a reader may see trails the newest commits for as long as an older transaction runs, but what has
  // been projected was visible once, and what was visible stays so.
  if (comparePositions(generation.checkpoint, tail) > 0)
    throw new CheckpointBeyondTailError(
      `generation ${generation.id} is at ${formatPosition(generation.checkpoint)}, but the log ends at ` +
        `${formatPosition(tail)}: the event store was restored or replaced; restore the read side with it, or build a new generation`,
    );
}
