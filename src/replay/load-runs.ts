import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Pool, PoolClient } from 'pg';
import Cursor from 'pg-cursor';
import type { ClassifiedRun } from '../classifier/classified-run';
import type { EventStore } from '../event-store/event-store';
import { runIdOf, streamOf } from '../events/operation-run-events';
import { copyText } from '../projector/copy-rows';
import type { ParkedLetter } from '../projector/fold-batch';
import type { Generation } from '../projector/generations';
import type { FoldingOptions } from '../projector/run-folding';
import type { Surface } from '../projector/surface';
import { tablesOf } from '../projector/surface-content';
import { IDLE_LIMIT } from '../projector/table-connection';
import { FACTS, factsRow } from '../projector/engine-rows';
import { parkedUpsert } from '../projector/table-writer';
import { classifiedRunOf } from '../projector/run-states';
import type { StoredFacts } from '../projector/run-states';
import { sendTexts, TableLoad } from './table-load';
import type { TableText, Unshown } from './table-load';

/** Runs per transaction, and in memory at a time. */
const RUNS_PER_PAGE = 1_000;

export interface LoadRunsOptions extends FoldingOptions {
  /** (Default: 1000) */
  readonly runsPerPage?: number;
  /** Waited for before the rows of each page are made. */
  readonly giveWay: () => Promise<void>;
  /** Told after each transaction, and waited for. */
  readonly onStep?: () => void | Promise<void>;
}

/** Somebody ended the replay while it was at work. */
export class ReplayEndedError extends Error {
  override readonly name = 'ReplayEndedError';
}

/**
 * Fills a generation's read tables from run facts, each row once and before there is any index: from its own facts, or
 * from those of `source`, all at one position, which are then copied too. An attempt that was killed begins anew.
 */
export async function loadRuns(
  generation: Generation,
  source: Generation,
  { pool, store, surfaces, judge, runsPerPage = RUNS_PER_PAGE, giveWay, onStep }: LoadRunsOptions,
  signal: AbortSignal,
): Promise<void> {
  const { id, schema } = generation;
  const copiesFacts = source.id !== id;
  const epoch = await emptyTables(pool, generation, [
    ...tablesOf(surfaces).map(({ name }) => name),
    ...(copiesFacts ? ['run_facts', 'scope_positions', 'parked_events'] : []),
  ]);
  const load = new TableLoad(surfaces);
  const [reader, writer] = [await pool.connect(), await pool.connect()];
  try {
    // One snapshot for all of it, of a transaction that has no id: nobody waits for it.
    await reader.query('begin transaction isolation level repeatable read read only');
    const closing = copiesFacts ? await restOf(reader, source) : null;
    const cursor = reader.query(
      new Cursor<StoredFacts>(`select facts, position, incomplete from ${source.schema}.run_facts`),
    );
    let reading = cursor.read(runsPerPage);
    let writing: Promise<void> = Promise.resolve();
    try {
      for (let rows = await reading; rows.length > 0 && !signal.aborted; rows = await reading) {
        reading = cursor.read(runsPerPage);
        reading.catch(() => undefined); // awaited at the next turn
        await giveWay();
        const runs = rows.map((row) => classifiedRunOf(row, judge));
        const { texts, shown, unshown } = load.page(runs);
        const all = copiesFacts ? [factsText(shown), ...texts] : texts;
        const letters = await lettersOf(store, unshown);
        await writing;
        const page = { epoch, runs: runs.length, texts: all, unshown, letters };
        writing = writePage(writer, generation, page).then(onStep);
        writing.catch(() => undefined); // awaited at the next turn or below
        await nextTurn();
      }
      await writing;
    } finally {
      await Promise.allSettled([writing, reading]);
      await cursor.close();
    }
    if (signal.aborted) return;
    await inTransaction(writer, async () => {
      await sendTexts(writer, schema, load.counted());
      if (closing) await writeRest(writer, generation, closing);
      const { rowCount } = await writer.query(
        `update opstruth.generations set phase = 'indexing', phase_started_at = clock_timestamp()
         where id = $1 and state = 'building' and phase = 'loading' and epoch = $2`,
        [id, epoch],
      );
      refuseEnded(id, rowCount);
    });
  } finally {
    await reader.query('rollback').catch(() => undefined); // the connection is given up with its transaction
    reader.release();
    writer.release();
  }
}

/**
 * Takes tables of a generation that is being built back to their beginning. Answers the epoch that begins with it: a
 * process that was at work on them before, paused and now continued, is of an older one and writes nothing more.
 */
export async function emptyTables(
  pool: Pool,
  { id, schema }: Generation,
  names: readonly string[],
): Promise<string> {
  const client = await pool.connect();
  try {
    let epoch: string | undefined;
    await inTransaction(client, async () => {
      await client.query(`truncate ${names.map((name) => `${schema}.${name}`).join(', ')}`);
      const { rows } = await client.query<{ epoch: string }>(
        `update opstruth.generations set runs_loaded = 0, epoch = epoch + 1
         where id = $1 and state = 'building' returning epoch`,
        [id],
      );
      epoch = rows[0]?.epoch;
    });
    if (epoch === undefined) throw new ReplayEndedError(`replay ${id} was ended by somebody else`);
    return epoch;
  } finally {
    client.release();
  }
}

/** Takes a generation that is being built back to before the first event. */
export async function emptyGeneration(
  pool: Pool,
  generation: Generation,
  surfaces: readonly Surface[],
): Promise<void> {
  const engine = ['run_facts', 'scope_positions', 'parked_events'];
  await emptyTables(pool, generation, [...engine, ...tablesOf(surfaces).map(({ name }) => name)]);
  await pool.query(
    `update opstruth.generations set checkpoint_commit = 0, checkpoint_prepare = 0, events_applied = 0, work_done = 0,
       phase_done_before = 0, epoch = epoch + 1 where id = $1 and state = 'building'`,
    [generation.id],
  );
}

function factsText(runs: readonly ClassifiedRun[]): TableText {
  return { ...FACTS, text: copyText(FACTS.columns, runs.map(factsRow)) };
}

interface Page {
  readonly epoch: string;
  readonly runs: number;
  readonly texts: readonly TableText[];
  readonly unshown: readonly Unshown[];
  readonly letters: readonly ParkedLetter[];
}

async function writePage(client: PoolClient, { id, schema }: Generation, page: Page): Promise<void> {
  await inTransaction(client, async () => {
    const { rowCount } = await client.query(
      `update opstruth.generations set runs_loaded = runs_loaded + $2,
         work_done = case when made_by = 'facts' then runs_loaded + $2 else work_done end
       where id = $1 and state = 'building' and epoch = $3`,
      [id, page.runs, page.epoch],
    );
    refuseEnded(id, rowCount);
    await sendTexts(client, schema, page.texts);
    if (page.unshown.length === 0) return;
    const runIds = page.unshown.map(({ run }) => run.facts.runId);
    await client.query(`delete from ${schema}.run_facts where run_id = any($1::text[])`, [runIds]);
    await client.query(parkedUpsert(schema, page.letters)!);
  });
}

/** A run that cannot be shown is parked with all its events, as the projector parks it. */
async function lettersOf(store: EventStore, unshown: readonly Unshown[]): Promise<ParkedLetter[]> {
  if (unshown.length === 0) return [];
  const streams = await store.readStreams(unshown.map(({ run }) => streamOf(run.facts.runId)));
  const known = new Map(unshown.map(({ run, cause }) => [run.facts.runId, { run, cause }]));
  return [...streams].flatMap(([streamId, events]) => {
    const { run, cause } = known.get(runIdOf(streamId))!;
    return events
      .filter(({ revision }) => revision < run.facts.version)
      .map((event, index) => ({ event, cause: index === 0 ? cause : null }));
  });
}

/** What a generation made from another's facts takes over as it is. */
interface Rest {
  readonly commit: string;
  readonly prepare: string;
  readonly eventsApplied: string;
  readonly parked: object[];
  readonly scopes: object[];
}

async function restOf(reader: PoolClient, source: Generation): Promise<Rest> {
  const all = (table: string) => `(select coalesce(json_agg(t), '[]') from ${source.schema}.${table} t) as`;
  const { rows } = await reader.query<Rest>(
    `select checkpoint_commit as commit, checkpoint_prepare as prepare, events_applied as "eventsApplied",
       ${all('parked_events')} parked, ${all('scope_positions')} scopes
     from opstruth.generations where id = $1`,
    [source.id],
  );
  if (!rows[0]) throw new Error(`generation ${source.id} is gone`);
  return rows[0];
}

async function writeRest(client: PoolClient, { id, schema }: Generation, rest: Rest): Promise<void> {
  const insert = (table: string, rows: object[]) =>
    client.query(
      `insert into ${schema}.${table} select * from json_populate_recordset(null::${schema}.${table}, $1::json)
       on conflict do nothing`,
      [JSON.stringify(rows)],
    );
  await insert('parked_events', rest.parked);
  await insert('scope_positions', rest.scopes);
  await client.query(
    `update opstruth.generations set checkpoint_commit = $2, checkpoint_prepare = $3, events_applied = $4 where id = $1`,
    [id, rest.commit, rest.prepare, rest.eventsApplied],
  );
}

function refuseEnded(id: number, rowCount: number | null): void {
  if (rowCount !== 1) throw new ReplayEndedError(`replay ${id} was ended by somebody else`);
}

async function inTransaction(client: PoolClient, work: () => Promise<void>): Promise<void> {
  await client.query(`begin; set local ${IDLE_LIMIT}`);
  try {
    await work();
    await client.query('commit');
  } catch (error) {
    await client.query('rollback').catch(() => undefined); // the first error is the one to tell
    throw error;
  }
}
