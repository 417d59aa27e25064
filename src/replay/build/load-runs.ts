import { setImmediate as nextTurn } from 'node:timers/promises';
import type { PoolClient } from 'pg';
import type { ClassifiedRun } from '../../classifier/classified-run';
import { cursorPages } from '../../db/cursor-pages';
import { inSnapshot } from '../../db/transaction';
import type { ParkedLetter } from '../../projector/fold-batch';
import type { Generation } from '../../projector/generations';
import type { FoldingOptions } from '../../projector/run-folding';
import { tablesOf } from '../../projector/surface-content';
import type { SurfaceContent } from '../../projector/surface-content';
import { classifiedRunOf } from '../../projector/run-states';
import type { StoredFacts } from '../../projector/run-states';
import { emptyTables, inStep, refuseEnded } from './building';
import type { StepOptions } from './building';
import { sendTexts, TableLoad } from './table-load';
import type { TableText } from './table-load';
import { lettersOf, parkUnshown, unshown } from './unshown-runs';
import type { Unshown } from './unshown-runs';
import { WriteBehind } from './write-behind';

/** Runs per transaction, and in memory at a time. */
const RUNS_PER_PAGE = 1_000;

export interface LoadRunsOptions extends FoldingOptions, StepOptions {
  /** (Default: 1000) */
  readonly runsPerPage?: number;
}

/**
 * Fills a generation's read tables from its run facts, each row once and before there is any index. An attempt that was
 * killed begins anew.
 */
export async function loadRuns(
  generation: Generation,
  { pool, store, surfaces, judge, runsPerPage = RUNS_PER_PAGE, giveWay, onStep }: LoadRunsOptions,
  signal: AbortSignal,
): Promise<void> {
  const { id, schema } = generation;
  const names = tablesOf(surfaces).map(({ name }) => name);
  const { epoch } = await emptyTables(pool, generation, names);
  const load = new TableLoad(surfaces);
  const writer = await pool.connect();
  try {
    await inSnapshot(pool, async (reader) => {
      const pages = cursorPages<StoredFacts>(
        reader,
        `select facts, position, incomplete from ${schema}.run_facts`,
        runsPerPage,
      );
      const behind = new WriteBehind();
      try {
        for await (const rows of pages) {
          if (signal.aborted) break;
          await giveWay();
          const runs = rows.map((row) => classifiedRunOf(row, judge));
          const { contents, failed } = shown(runs, load);
          const texts = load.add(contents);
          const letters = await lettersOf(store, failed);
          const page = { epoch, runs: runs.length, texts, unshown: failed, letters };
          await behind.write(() => writePage(writer, generation, page).then(onStep));
          await nextTurn();
        }
        await behind.settled();
      } finally {
        await behind.ended();
      }
    });
    if (signal.aborted) return;
    await inStep(writer, async () => {
      await sendTexts(writer, schema, load.counted());
      const { rowCount } = await writer.query(
        `update opstruth.generations set phase = 'indexing', phase_started_at = clock_timestamp()
         where id = $1 and state = 'building' and phase = 'loading' and epoch = $2`,
        [id, epoch],
      );
      refuseEnded(id, rowCount);
    });
  } finally {
    writer.release();
  }
}

function shown(
  runs: readonly ClassifiedRun[],
  load: TableLoad,
): { readonly contents: readonly SurfaceContent[]; readonly failed: readonly Unshown[] } {
  const contents: SurfaceContent[] = [];
  const failed: Unshown[] = [];
  for (const run of runs)
    try {
      contents.push(load.contentOf(run));
    } catch (error) {
      failed.push(unshown(run, error));
    }
  return { contents, failed };
}

interface Page {
  readonly epoch: string;
  readonly runs: number;
  readonly texts: readonly TableText[];
  readonly unshown: readonly Unshown[];
  readonly letters: readonly ParkedLetter[];
}

async function writePage(client: PoolClient, { id, schema }: Generation, page: Page): Promise<void> {
  await inStep(client, async () => {
    const { rowCount } = await client.query(
      `update opstruth.generations set runs_loaded = runs_loaded + $2
       where id = $1 and state = 'building' and epoch = $3`,
      [id, page.runs, page.epoch],
    );
    refuseEnded(id, rowCount);
    await sendTexts(client, schema, page.texts);
    await parkUnshown(client, schema, page.unshown, page.letters);
  });
}
