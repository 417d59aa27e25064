import type { Pool } from 'pg';
import type { ClassTimeline, Judge } from '../../domain/classification';
import type { ClassifiedRun } from '../../classifier/classified-run';
import { factsOf } from '../../classifier/facts-document';
import { StatementNames } from '../../db/statement-names';
import type { RunChange } from '../../projector/fold-batch';
import type { Generation } from '../../projector/generations';
import type { FoldingOptions } from '../../projector/run-folding';
import type { StoredFacts } from '../../projector/run-states';
import { contentOf, nothingShown, tablesOf } from '../../projector/surface-content';
import type { SurfaceContent } from '../../projector/surface-content';
import type { SurfaceTable } from '../../projector/surface';
import { openTableConnection } from '../../projector/table-connection';
import type { TableConnection } from '../../projector/table-connection';
import { batchQueries, batchStatements } from '../../projector/table-writer';
import { inStep, refuseEnded } from './building';
import type { StepOptions } from './building';
import { lettersOf, parkUnshown, unshown } from './unshown-runs';
import type { Unshown } from './unshown-runs';

/** Runs per transaction, and in memory at a time. */
const RUNS_PER_PAGE = 2_000;

export interface JudgeAnewOptions extends FoldingOptions, StepOptions {
  /** (Default: 2000) */
  readonly runsPerPage?: number;
}

/** How the runs were judged whose rows are in the tables. */
export interface JudgedBefore {
  readonly judge: Judge;
  /** Ended runs are judged alike by both: their rows stay, and nobody looks at them. */
  readonly endedAlike: boolean;
}

/**
 * Brings tables that hold what `before` says of each run to what `judge` says. A surface is a pure function of a run's
 * facts and timeline: of runs on which both agree every row stays, of the others the difference is written, as the
 * projector writes it. Goes on from where an earlier attempt was killed. Throws ReplayEndedError.
 */
export async function judgeAnew(
  generation: Generation,
  { judge: before, endedAlike }: JudgedBefore,
  { pool, store, surfaces, judge, runsPerPage = RUNS_PER_PAGE, giveWay, onStep }: JudgeAnewOptions,
  signal: AbortSignal,
): Promise<void> {
  const tables = tablesOf(surfaces);
  const names = new StatementNames('opstruth judging');
  const connection = await openTableConnection(pool);
  try {
    let from = await judgedUpTo(connection, generation);
    if (from === null && endedAlike) from = await passOverEnded(connection, generation);
    const which = endedAlike ? 'active' : 'true';
    const page = (after: string | null) => readPage(pool, generation, { which, after, runsPerPage });
    let reading = page(from);
    for (let rows = await reading; rows.length > 0 && !signal.aborted; rows = await reading) {
      const upTo = rows.at(-1)!.run_id;
      reading = page(upTo);
      reading.catch(() => undefined); // awaited at the next turn
      await giveWay();
      const { changes, failed } = changesOf(rows, { before, after: judge, tables });
      const letters = await lettersOf(store, failed);
      const statements = batchQueries(batchStatements(generation.schema, tables, changes, []), names);
      await inStep(connection, async () => {
        await moveUp(connection, generation, { from, upTo, runs: rows.length });
        for (const statement of statements) await connection.query(statement);
        await parkUnshown(connection, generation.schema, failed, letters);
      });
      from = upTo;
      await onStep?.();
    }
    await Promise.allSettled([reading]);
  } finally {
    await connection.close();
  }
}

interface RunRow extends StoredFacts {
  readonly run_id: string;
}

/** By id, which stays as it is whatever is written meanwhile. */
async function readPage(
  pool: Pool,
  { schema }: Generation,
  {
    which,
    after,
    runsPerPage,
  }: { readonly which: string; readonly after: string | null; readonly runsPerPage: number },
): Promise<RunRow[]> {
  const { rows } = await pool.query<RunRow>(
    `select run_id, facts, position, incomplete from ${schema}.run_facts
     where ${which} and run_id > $1 order by run_id limit $2`,
    [after ?? '', runsPerPage],
  );
  return rows;
}

interface Judges {
  readonly before: Judge;
  readonly after: Judge;
  readonly tables: readonly SurfaceTable[];
}

function changesOf(
  rows: readonly StoredFacts[],
  { before, after, tables }: Judges,
): { readonly changes: ReadonlyMap<string, RunChange>; readonly failed: readonly Unshown[] } {
  const changes = new Map<string, RunChange>();
  const failed: Unshown[] = [];
  for (const { facts: document, position, incomplete } of rows) {
    const facts = factsOf(document);
    const [old, now] = [before(facts), after(facts)];
    if (saysTheSame(old, now)) continue;
    const held = { facts, timeline: old, incomplete, position };
    const run = { facts, timeline: now, incomplete, position };
    const contentBefore = contentCopied(tables, held);
    try {
      changes.set(facts.runId, { before: held, after: run, contentBefore, content: contentOf(tables, run) });
    } catch (error) {
      changes.set(facts.runId, { before: held, after: held, contentBefore, content: nothingShown(tables) });
      failed.push(unshown(run, error));
    }
  }
  return { changes, failed };
}

/** What was copied of a run. Rows that the surfaces of this version could not have made are none that they could change. */
function contentCopied(tables: readonly SurfaceTable[], held: ClassifiedRun): SurfaceContent {
  try {
    return contentOf(tables, held);
  } catch (error) {
    throw new Error(
      `run ${held.facts.runId} cannot be shown as the copied generation judges it (${(error as Error).message}): ` +
        'abort this replay and start one from the log, with --full',
      { cause: error },
    );
  }
}

/** All but which policy says it: that is the generation's, and no row holds it. */
function saysTheSame(a: ClassTimeline, b: ClassTimeline): boolean {
  return (
    a.staleAt === b.staleAt &&
    a.before.problemClass === b.before.problemClass &&
    a.before.freshness === b.before.freshness &&
    a.after.problemClass === b.after.problemClass &&
    a.after.freshness === b.after.freshness &&
    a.staleKind === b.staleKind &&
    a.thresholdSeconds === b.thresholdSeconds &&
    a.reconcileDueAt === b.reconcileDueAt &&
    a.retryable === b.retryable
  );
}

async function judgedUpTo(connection: TableConnection, { id }: Generation): Promise<string | null> {
  const { rows } = await connection.query<{ judged_up_to: string | null }>(
    'select judged_up_to from opstruth.generations where id = $1',
    [id],
  );
  return rows[0]?.judged_up_to ?? null;
}

/** Counts them as judged, by indexes: the rows are large. Answers where the others begin. */
async function passOverEnded(connection: TableConnection, { id, schema }: Generation): Promise<string> {
  const { rowCount } = await connection.query(
    `update opstruth.generations
     set judged_up_to = '', checkpoint_at = clock_timestamp(),
       work_done = (select count(*) from ${schema}.run_facts) - (select count(*) from ${schema}.run_facts where active)
     where id = $1 and state = 'building' and phase = 'judging' and judged_up_to is null`,
    [id],
  );
  refuseEnded(id, rowCount);
  return '';
}

interface JudgedPage {
  readonly from: string | null;
  readonly upTo: string;
  readonly runs: number;
}

/** Compare-and-set: of two processes that judge the same page one writes it. */
async function moveUp(
  connection: TableConnection,
  { id }: Generation,
  { from, upTo, runs }: JudgedPage,
): Promise<void> {
  const { rowCount } = await connection.query(
    `update opstruth.generations set judged_up_to = $3, work_done = work_done + $4, checkpoint_at = clock_timestamp()
     where id = $1 and state = 'building' and phase = 'judging' and judged_up_to is not distinct from $2`,
    [id, from, upTo, runs],
  );
  refuseEnded(id, rowCount);
}
