import type { QueryConfig } from 'pg';
import { StatementNames } from '../db/statement-names';
import { sleep } from '../tools/abortable';
import type { StoredEvent } from '../events/operation-run-events';
import { comparePositions } from '../events/position';
import type { Position } from '../events/position';
import type { Generation } from './generations';
import { tellProjected } from './projection-news';
import { CACHED_RUNS, fencedOr, moveCheckpoint, openFolding } from './run-folding';
import type { FoldingOptions, Stretch } from './run-folding';
import { tablesOf } from './surface-content';
import { openTableConnection } from './table-connection';
import type { TableConnection } from './table-connection';
import { batchQueries, batchStatements } from './table-writer';

export interface ProjectorOptions extends FoldingOptions {
  /** Events per transaction at most. More share the cost of a commit; fewer are visible sooner while catching up. */
  readonly batchSize: number;
  readonly onBatch?: (batch: AppliedBatch) => void;
}

export interface FollowingOptions extends ProjectorOptions {
  /**
   * Milliseconds from the beginning of a batch to that of the next, at least, while the log brings less than full ones:
   * a batch of a few events costs hardly less than one of many (docs/adr/0016). (Default: 0)
   */
  readonly paceMs?: () => number;
}

export interface AppliedBatch {
  readonly events: number;
  readonly runs: number;
  readonly parked: number;
  readonly checkpoint: Position;
}

/**
 * Brings one generation forward, batch by batch: read, fold, classify, show, and one transaction with all rows,
 * counter deltas, run facts, parked events and the checkpoint. While PostgreSQL writes, the next batch is folded.
 * Runs until `signal` aborts; throws FencedError when another process has taken over.
 */
export async function projectGeneration(
  generationId: number,
  options: FollowingOptions,
  signal: AbortSignal,
): Promise<void> {
  const projection = await openProjection(generationId, options);
  const stopping = new AbortController();
  const until = AbortSignal.any([signal, stopping.signal]);
  try {
    const batches = options.store.subscribe(projection.generation.checkpoint, {
      batchSize: options.batchSize,
      signal: until,
    });
    for await (const events of batches) {
      const begunAt = performance.now();
      await projection.apply(events, { unless: until, onFailure: () => stopping.abort() });
      if (until.aborted) break;
      const restMs = (options.paceMs?.() ?? 0) - (performance.now() - begunAt);
      if (events.length < options.batchSize && restMs > 0) await sleep(restMs, until);
    }
    await projection.settled();
  } finally {
    stopping.abort();
    await projection.close();
  }
}

/**
 * Applies everything up to the log's present end, a batch that is not full, and returns: for imports, switches and tests.
 * With `upTo`, no further than the batch with which it gets there.
 */
export async function catchUp(
  generationId: number,
  options: ProjectorOptions & { readonly upTo?: Position },
  signal?: AbortSignal,
): Promise<void> {
  const projection = await openProjection(generationId, options);
  let from = projection.generation.checkpoint;
  try {
    while (!signal?.aborted) {
      const events = await options.store.readAll(from, options.batchSize);
      if (events.length === 0) break;
      from = events.at(-1)!.position;
      await projection.apply(events);
      if (events.length < options.batchSize) break;
      if (options.upTo && comparePositions(from, options.upTo) >= 0) break;
    }
    await projection.settled();
  } finally {
    await projection.close();
  }
}

interface PreparedBatch extends Stretch {
  readonly runs: number;
  readonly parked: number;
  /** Made while the batch before it is written, so that the database does not wait for them. */
  readonly statements: readonly QueryConfig[];
}

interface Applying {
  /** Aborted, it keeps the batch from being written. */
  readonly unless?: AbortSignal;
  /** Told at once when the write fails, which the next `apply` or `settled` throws. */
  readonly onFailure?: () => void;
}

/**
 * Batches under way while the next is folded. The second is sent when it is a full one, so that PostgreSQL never waits for
 * the next while there is much to catch up with; small ones wait for their predecessor and grow meanwhile.
 */
const UNDER_WAY = 2;

/** A generation opened for writing. */
export interface Projection {
  readonly generation: Generation;
  /** Folds events and begins to write them, the checkpoint moving to `upTo` (by default the last of them). */
  apply(events: readonly StoredEvent[], options?: Applying & { readonly upTo?: Position }): Promise<void>;
  /** Resolves when all that was applied is written; throws why it could not be, FencedError among it. */
  settled(): Promise<void>;
  close(): Promise<void>;
}

export async function openProjection(generationId: number, options: ProjectorOptions): Promise<Projection> {
  // A run that a batch under way has changed is not in the tables yet: memory must hold it until it is.
  const cachedRuns = Math.max(options.cachedRuns ?? CACHED_RUNS, (UNDER_WAY + 1) * options.batchSize);
  const folding = await openFolding(generationId, { ...options, cachedRuns });
  const { generation } = folding;
  const tables = tablesOf(options.surfaces);
  const connection = await openTableConnection(options.pool);
  const names = new StatementNames('opstruth batch');
  const underWay: Promise<void>[] = [];

  /** Until at most so many are under way. Throws what failed of those that it waited for. */
  async function settle(most: number): Promise<void> {
    while (underWay.length > most) {
      // One that fails stays the first: no later one is waited for.
      await underWay[0];
      void underWay.shift();
    }
  }

  async function commit(batch: PreparedBatch): Promise<void> {
    await commitBatch(connection, generation, batch);
    options.onBatch?.({
      events: batch.eventCount,
      runs: batch.runs,
      parked: batch.parked,
      checkpoint: batch.to,
    });
  }

  return {
    generation,
    async apply(events, { upTo, unless, onFailure } = {}) {
      const folded = await folding.fold(events, upTo);
      const { changes, letters, from, to, eventCount } = folded;
      const batch: PreparedBatch = {
        from,
        to,
        eventCount,
        runs: changes.size,
        parked: letters.length,
        statements: batchQueries(batchStatements(generation.schema, tables, changes, letters), names),
      };
      await settle(eventCount < options.batchSize ? 0 : UNDER_WAY - 1);
      if (unless?.aborted) return;
      const committing = commit(batch);
      underWay.push(committing);
      // Awaited by `settle`; without this a failure in between would be an unhandled rejection.
      committing.catch(() => onFailure?.());
    },
    settled: () => settle(0),
    async close() {
      await Promise.allSettled(underWay);
      await connection.close();
    },
  };
}

/** All of it is sent at once, the commit as well: a checkpoint that is not where it should be refuses what comes behind it. */
async function commitBatch(
  connection: TableConnection,
  generation: Generation,
  batch: PreparedBatch,
): Promise<void> {
  try {
    await connection.together([
      'begin',
      moveCheckpoint(generation, batch),
      ...batch.statements,
      tellProjected(generation.id, batch.to),
      'commit',
    ]);
  } catch (error) {
    throw fencedOr(error);
  }
}
