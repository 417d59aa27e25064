import type { Pool } from 'pg';
import { transaction } from '../../db/transaction';
import { comparePositions, START } from '../../events/position';
import { openProjection } from '../../projector/generation-projector';
import type { ProjectorOptions } from '../../projector/generation-projector';
import { generationById, isHistorical } from '../../projector/generations';
import type { Generation } from '../../projector/generations';
import { endedAlike, judgeFor } from '../../projector/live-classification';
import type { Surface } from '../../projector/surface';
import { building, endOtherBuilders, NOT_AWAITED, refuseEnded, tableNames, truncateSql } from './building';
import { copyTables } from './copy-tables';
import type { CopyTablesOptions } from './copy-tables';
import { foldLog } from './fold-log';
import type { FoldLogOptions } from './fold-log';
import { foldStreams } from './fold-streams';
import type { FoldStreamsOptions } from './fold-streams';
import { giveWayToLive } from './give-way';
import type { GiveWayOptions } from './give-way';
import { judgeAnew } from './judge-anew';
import type { JudgeAnewOptions } from './judge-anew';
import { loadRuns } from './load-runs';
import type { LoadRunsOptions } from './load-runs';
import { logPages } from './log-pages';
import { makeIndexes } from './make-indexes';

/** `onStep` is told after each transaction of folding and loading, and after each index. */
export interface BuildOptions
  extends
    ProjectorOptions,
    Omit<FoldLogOptions & LoadRunsOptions & CopyTablesOptions & JudgeAnewOptions, 'giveWay'>,
    GiveWayOptions {}

/** Two lanes, one that holds the snapshot, and one that looks whether the live generation keeps up. */
const CONNECTIONS = 4;

/**
 * Makes a generation ready. From the log: folds it into the tables, stream after stream, makes the indexes, and catches up; from
 * a log that can be read in its own order alone, folds it into run facts first and loads the tables from those. From another's
 * facts: copies its tables, makes the indexes, judges the runs anew, and catches up. Rows are written before there is any index,
 * but for those that another judgement changes. Goes on from where an earlier attempt was killed: folding and judging from
 * where they stood, loading from its beginning. Returns when it is `ready` or `signal` aborts; one that is not historical is
 * then followed by the projector like the live one.
 */
export async function buildGeneration(
  generationId: number,
  options: BuildOptions,
  signal: AbortSignal,
): Promise<void> {
  try {
    await build(generationId, options, signal);
  } catch (error) {
    // Aborted and dropped: that there is no such table any more is not what went wrong.
    await building(options.pool, generationId);
    throw error;
  }
}

async function build(generationId: number, buildOptions: BuildOptions, signal: AbortSignal): Promise<void> {
  const options = { ...buildOptions, giveWay: giveWayToLive(buildOptions) };
  const { pool } = options;
  if (pool.options.max < CONNECTIONS)
    throw new Error(
      `a build needs ${CONNECTIONS} connections at the same time, and DATABASE_POOL_SIZE is ${pool.options.max}`,
    );
  await takeOver(pool, generationId);
  let generation = await building(pool, generationId);
  await endOtherBuilders(pool, generation);
  if (generation.phase === 'folding') {
    const { readByStream } = options.store;
    // What ends at a position is a cut through the log: in its order nothing behind that is read.
    if (readByStream && generation.untilPosition === null)
      await foldInStreamOrder(generation, { ...options, readByStream }, signal);
    else await foldInLogOrder(generation, options, signal);
    if (signal.aborted) return;
    generation = await building(pool, generationId);
  }
  if (generation.phase === 'loading') {
    if (generation.madeBy === 'facts')
      await copyTables(generation, await sourceOf(pool, generation), options, signal);
    else await loadRuns(generation, options, signal);
    if (signal.aborted) return;
    generation = await building(pool, generationId);
  }
  if (generation.phase === 'indexing') {
    await makeIndexes(generation, options, signal);
    if (signal.aborted) return;
    await enterPhase(pool, generation, generation.madeBy === 'facts' ? 'judging' : 'following');
    generation = await building(pool, generationId);
  }
  if (generation.phase === 'judging') {
    const source = await sourceOf(pool, generation);
    const before = {
      judge: await judgeFor(pool, source),
      endedAlike: await endedAlike(pool, source, generation),
    };
    await judgeAnew(generation, before, options, signal);
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
  refuseEnded(generationId, rowCount);
}

/** Into all tables. */
async function foldInStreamOrder(
  generation: Generation,
  options: FoldStreamsOptions,
  signal: AbortSignal,
): Promise<void> {
  // An older version began it in log order.
  if (generation.foldedUpTo === null && hasBegun(generation))
    await emptyGeneration(options.pool, generation, options.surfaces);
  await foldStreams(generation, options, signal);
}

/** In log order. The checkpoint moves over events that do not count as well. */
function hasBegun({ checkpoint }: Generation): boolean {
  return comparePositions(checkpoint, START) > 0;
}

/** Into run facts alone, of which the tables are loaded afterwards. */
async function foldInLogOrder(
  generation: Generation,
  options: FoldLogOptions,
  signal: AbortSignal,
): Promise<void> {
  const { pool, surfaces } = options;
  // Which streams had ended is known to the attempt that read them all: a killed one begins anew.
  if (generation.untilAt !== null && hasBegun(generation)) await emptyGeneration(pool, generation, surfaces);
  await foldLog(generation, options, signal);
  if (!signal.aborted) await enterPhase(pool, generation, 'loading');
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

/** Whose tables are copied. */
async function sourceOf(pool: Pool, generation: Generation): Promise<Generation> {
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
           greatest(started_at, phase_started_at, case when phase in ('folding', 'judging') then checkpoint_at end))),
         phase_started_at = clock_timestamp(), phase_done_before = case made_by when 'facts' then work_done else events_applied end
     where id = $1 and state = 'building' and phase <> 'following'`,
    [id],
  );
}

/** Only from the phase that was worked on: another builder may have come further meanwhile. Throws ReplayEndedError. */
async function enterPhase(
  pool: Pool,
  { id, schema, phase: from }: Generation,
  phase: Generation['phase'],
): Promise<void> {
  const { rowCount } = await pool.query(
    `update opstruth.generations set phase = $3, phase_started_at = clock_timestamp()
       ${phase === 'loading' ? `, runs_total = (select count(*) from ${schema}.run_facts)` : ''}
     where id = $1 and state = 'building' and phase = $2`,
    [id, from, phase],
  );
  refuseEnded(id, rowCount);
}

/** Takes a generation that is being folded back to before the first event. Throws ReplayEndedError. */
async function emptyGeneration(
  pool: Pool,
  { id, schema, epoch }: Generation,
  surfaces: readonly Surface[],
): Promise<void> {
  await transaction(
    pool,
    async (client) => {
      const { rowCount } = await client.query(
        `update opstruth.generations
         set checkpoint_commit = 0, checkpoint_prepare = 0, events_applied = 0, phase_done_before = 0, runs_loaded = 0, folded_up_to = null,
           folds_to_commit = null, folds_to_prepare = null, epoch = epoch + 1
         where id = $1 and state = 'building' and phase = 'folding' and epoch = $2`,
        [id, epoch],
      );
      refuseEnded(id, rowCount);
      await client.query(truncateSql(schema, tableNames(surfaces)));
    },
    [NOT_AWAITED],
  );
}
