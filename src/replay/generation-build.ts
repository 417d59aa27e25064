import type { Pool } from 'pg';
import { openProjection } from '../projector/generation-projector';
import type { ProjectorOptions } from '../projector/generation-projector';
import { generationById, isHistorical } from '../projector/generations';
import type { Generation } from '../projector/generations';
import { foldLog } from './fold-log';
import type { FoldLogOptions } from './fold-log';
import { giveWayToLive } from './give-way';
import type { GiveWayOptions } from './give-way';
import { emptyGeneration, loadRuns, ReplayEndedError } from './load-runs';
import type { LoadRunsOptions } from './load-runs';
import { logPages } from './log-pages';
import { makeIndexes } from './make-indexes';

/** `onStep` is told after each transaction of folding and loading, and after each index. */
export interface BuildOptions
  extends ProjectorOptions, Omit<FoldLogOptions & LoadRunsOptions, 'giveWay'>, GiveWayOptions {}

/**
 * Makes a generation ready: folds the log into run facts, loads the read tables from those (or from another generation's
 * facts), makes the indexes, and catches up. Each row is written about once, by COPY, into a table without any index.
 * Goes on from where an earlier attempt was killed: folding from its checkpoint, loading from its beginning. Returns
 * when it is `ready` or `signal` aborts; one that is not historical is then followed by the projector like the live one.
 */
export async function buildGeneration(
  generationId: number,
  buildOptions: BuildOptions,
  signal: AbortSignal,
): Promise<void> {
  const options = { ...buildOptions, giveWay: giveWayToLive(buildOptions) };
  const { pool, surfaces } = options;
  await takeOver(pool, generationId);
  let generation = await building(pool, generationId);
  if (generation.phase === 'folding') {
    // Which streams had ended is known to the attempt that read them all: a killed one begins anew.
    if (generation.untilAt !== null && generation.eventsApplied > 0)
      await emptyGeneration(pool, generation, surfaces);
    await foldLog(generation, options, signal);
    if (signal.aborted) return;
    await enterPhase(pool, generation, 'loading');
    generation = await building(pool, generationId);
  }
  if (generation.phase === 'loading') {
    await loadRuns(generation, await sourceOf(pool, generation), options, signal);
    if (signal.aborted) return;
    generation = await building(pool, generationId);
  }
  if (generation.phase === 'indexing') {
    await makeIndexes(generation, options, signal);
    if (signal.aborted) return;
    await enterPhase(pool, generation, 'following');
    generation = await building(pool, generationId);
  }
  // What was appended meanwhile; the projector takes over from here.
  if (!isHistorical(generation)) await catchUpWithLog(generation, options, signal);
  if (signal.aborted) return;
  const { rowCount } = await pool.query(
    `update opstruth.generations set state = 'ready', ready_at = now(), failure = null where id = $1 and state = 'building'`,
    [generationId],
  );
  if (rowCount !== 1) throw new ReplayEndedError(`replay ${generationId} was ended by somebody else`);
}

async function catchUpWithLog({ id }: Generation, options: BuildOptions, signal: AbortSignal): Promise<void> {
  const projection = await openProjection(id, options);
  try {
    const pages = logPages(options.store, projection.generation, options.batchSize, signal);
    for await (const { events } of pages) await projection.apply(events);
    await projection.settled();
  } finally {
    await projection.close();
  }
}

/** Whose run facts the tables are loaded from. */
async function sourceOf(pool: Pool, generation: Generation): Promise<Generation> {
  if (generation.madeBy !== 'facts') return generation;
  const source = generation.madeFrom === null ? null : await generationById(pool, generation.madeFrom);
  if (!source) throw new Error(`replay ${generation.id}: the generation it is made from is gone`);
  return source;
}

/**
 * Begins the phase's time anew, so that its rate is that of the present builder. What has passed since the last work
 * that is kept was idle: nobody built, or it is done once more now. Of indexes nothing is known but when they began.
 */
async function takeOver(pool: Pool, id: number): Promise<void> {
  await pool.query(
    `update opstruth.generations
     set idle_seconds = idle_seconds + greatest(0, extract(epoch from clock_timestamp() -
           greatest(started_at, phase_started_at, case when phase = 'folding' then checkpoint_at end))),
         phase_started_at = clock_timestamp(), phase_done_before = events_applied
     where id = $1 and state = 'building' and phase <> 'following'`,
    [id],
  );
}

async function enterPhase(pool: Pool, { id, schema }: Generation, phase: Generation['phase']): Promise<void> {
  await pool.query(
    `update opstruth.generations set phase = $2, phase_started_at = clock_timestamp()
       ${phase === 'loading' ? `, runs_total = (select count(*) from ${schema}.run_facts)` : ''} where id = $1`,
    [id, phase],
  );
}

async function building(pool: Pool, id: number): Promise<Generation> {
  const generation = await generationById(pool, id);
  if (generation?.state !== 'building')
    throw new ReplayEndedError(`replay ${id} is ${generation?.state ?? 'unknown'}: nothing is left to build`);
  return generation;
}
