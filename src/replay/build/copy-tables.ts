import type { Pool, PoolClient } from 'pg';
import { inSnapshot } from '../../db/transaction';
import type { Generation } from '../../projector/generations';
import type { Surface } from '../../projector/surface';
import { emptyTables, inStep, refuseEnded, tableNames } from './building';
import type { Emptied, StepOptions } from './building';
import { inLanes } from './in-lanes';

/** Of 8 KiB: what one transaction copies, some thousands of runs. */
const BLOCKS_PER_STEP = 1_024;
/** Transactions at the same time. */
const LANES = 2;

export interface CopyTablesOptions extends StepOptions {
  readonly pool: Pool;
  readonly surfaces: readonly Surface[];
  /** (Default: 1024) */
  readonly blocksPerStep?: number;
}

/**
 * Fills a generation's tables, which have no indexes yet, with those of `source` as they are at one position: its run
 * facts, rows and counts, parked events and checkpoint. PostgreSQL moves the rows, none comes here. An attempt that was
 * killed begins anew. Throws ReplayEndedError.
 */
export async function copyTables(
  generation: Generation,
  source: Generation,
  { pool, surfaces, blocksPerStep = BLOCKS_PER_STEP, giveWay, onStep }: CopyTablesOptions,
  signal: AbortSignal,
): Promise<void> {
  const names = tableNames(surfaces);
  const emptied = await emptyTables(pool, generation, names);
  // Whatever is written to the source meanwhile, every step sees it as it is now.
  await inSnapshot(pool, async (holder) => {
    const { rows: held } = await holder.query<Held>(
      `select pg_export_snapshot() as snapshot, checkpoint_commit, checkpoint_prepare, events_applied
       from opstruth.generations where id = $1`,
      [source.id],
    );
    if (!held[0]) throw new Error(`generation ${source.id} is gone`);
    const { snapshot } = held[0];
    const steps = await stepsOf(holder, source, names, blocksPerStep);
    const total = steps.reduce((sum, { blocks }) => sum + blocks, 0);
    const connections = { open: () => pool.connect(), close: (writer: PoolClient) => writer.release() };
    await inLanes(steps, LANES, connections, async (step, writer) => {
      if (signal.aborted) return;
      await giveWay();
      await copyStep(writer, { generation, source, emptied, snapshot, step, total });
      await onStep?.();
    });
    if (signal.aborted) return;
    const { checkpoint_commit, checkpoint_prepare, events_applied } = held[0];
    const { rowCount } = await pool.query(
      `update opstruth.generations
       set phase = 'indexing', phase_started_at = clock_timestamp(), judged_up_to = null, work_done = 0,
           checkpoint_commit = $3, checkpoint_prepare = $4, events_applied = $5
       where id = $1 and state = 'building' and phase = 'loading' and epoch = $2`,
      [generation.id, emptied.epoch, checkpoint_commit, checkpoint_prepare, events_applied],
    );
    refuseEnded(generation.id, rowCount);
  });
}

interface Held {
  readonly snapshot: string;
  readonly checkpoint_commit: string;
  readonly checkpoint_prepare: string;
  readonly events_applied: string;
}

/** Rows of a table that lie in blocks `from` (inclusive) to `to` (exclusive). */
interface Stretch {
  readonly table: string;
  readonly from: number;
  readonly to: number;
}

/** What one transaction copies. */
interface Step {
  readonly stretches: readonly Stretch[];
  /** In all of them. */
  readonly blocks: number;
}

/** What the snapshot sees lies in blocks that exist now. */
async function stepsOf(
  holder: PoolClient,
  { schema }: Generation,
  names: readonly string[],
  blocksPerStep: number,
): Promise<Step[]> {
  const { rows: tables } = await holder.query<{ name: string; blocks: number }>(
    `select name, (pg_relation_size(($1 || '.' || name)::regclass) / current_setting('block_size')::int)::int as blocks
     from unnest($2::text[]) as name`,
    [schema, names],
  );
  const steps: Step[] = [];
  let stretches: Stretch[] = [];
  let room = blocksPerStep;
  const close = () => {
    if (stretches.length > 0) steps.push({ stretches, blocks: blocksPerStep - room });
    stretches = [];
    room = blocksPerStep;
  };
  for (const { name, blocks } of tables)
    for (let from = 0; from < blocks;) {
      const to = Math.min(blocks, from + room);
      stretches.push({ table: name, from, to });
      room -= to - from;
      from = to;
      if (room === 0) close();
    }
  close();
  return steps;
}

interface StepCopy {
  readonly generation: Generation;
  readonly source: Generation;
  readonly emptied: Emptied;
  readonly snapshot: string;
  readonly step: Step;
  /** Blocks of all steps. */
  readonly total: number;
}

/**
 * A transaction with the snapshot cannot see whether another process has taken over since, but it can tell by the file
 * that a table is kept in, which each attempt begins with a new one of: rows go into the one that was emptied for this
 * attempt, or nowhere.
 */
async function copyStep(
  writer: PoolClient,
  { generation: { id, schema }, source, emptied, snapshot, step: { stretches, blocks }, total }: StepCopy,
): Promise<void> {
  await inStep(writer, async () => {
    await writer.query(
      `set transaction isolation level repeatable read; set transaction snapshot '${snapshot}'`,
    );
    for (const { table, from, to } of stretches)
      await writer.query(
        `insert into ${schema}.${table} select * from ${source.schema}.${table}
         where ctid >= '(${from},0)'::tid and ctid < '(${to},0)'::tid
           and pg_relation_filenode('${schema}.${table}'::regclass) = ${emptied.files.get(table)!}`,
      );
  });
  const { rowCount } = await writer.query(
    `update opstruth.generations set runs_loaded = least(runs_total, runs_loaded + ceil(runs_total * $3::float8))
     where id = $1 and state = 'building' and epoch = $2`,
    [id, emptied.epoch, blocks / total],
  );
  refuseEnded(id, rowCount);
}
