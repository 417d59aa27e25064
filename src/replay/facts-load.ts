import type { Pool, PoolClient } from 'pg';
import Cursor from 'pg-cursor';
import type { RunFacts } from '../domain/run-facts';
import { formatPosition } from '../events/position';
import { classify } from '../projector/fold-batch';
import type { RunChange } from '../projector/fold-batch';
import type { ProjectorOptions } from '../projector/generation-projector';
import { generationById } from '../projector/generations';
import type { Generation } from '../projector/generations';
import { contentOf, tablesOf } from '../projector/surface-content';
import type { Surface } from '../projector/surface';
import { batchWrites, send } from '../projector/table-writer';

/** Runs per transaction; see LOAD_BATCH in generation-build. */
const RUNS_PER_LOAD = 1_000;

interface FactsRow {
  readonly facts: RunFacts;
  readonly position: string;
  readonly incomplete: boolean;
}

/**
 * Fills a generation from the run facts of another one, all at one position: the snapshot of a single read-only
 * transaction. Right whenever the fold is the same and only classifier or policy differ. A killed attempt begins anew,
 * for its snapshot is gone.
 */
export async function loadFacts(
  generation: Generation,
  { pool, surfaces, judge }: ProjectorOptions,
  signal: AbortSignal,
): Promise<void> {
  const source = generation.madeFrom === null ? null : await generationById(pool, generation.madeFrom);
  if (!source) throw new Error(`replay ${generation.id}: the generation it is made from is gone`);
  await emptyGeneration(pool, generation, surfaces);
  const tables = tablesOf(surfaces);
  const [reader, writer] = [await pool.connect(), await pool.connect()];
  try {
    await reader.query('begin transaction isolation level repeatable read read only');
    const at = await snapshotOf(reader, source);
    const cursor = reader.query(
      new Cursor<FactsRow>(`select facts, position, incomplete from ${source.schema}.run_facts`),
    );
    let reading = cursor.read(RUNS_PER_LOAD);
    let writing: Promise<void> = Promise.resolve();
    let loaded = 0;
    try {
      for (let rows = await reading; rows.length > 0 && !signal.aborted; rows = await reading) {
        reading = cursor.read(RUNS_PER_LOAD);
        reading.catch(() => undefined); // awaited at the next turn
        const changes = new Map<string, RunChange>();
        for (const row of rows) {
          const after = classify(row.facts, judge, row.position, row.incomplete);
          changes.set(row.facts.runId, { before: null, after, content: contentOf(tables, after) });
        }
        await writing;
        loaded += changes.size;
        writing = writeRuns(writer, generation, batchWrites(generation.schema, tables, changes, []), loaded);
        writing.catch(() => undefined); // awaited at the next turn or below
      }
      await writing;
    } finally {
      await Promise.allSettled([writing, reading]);
      await cursor.close();
    }
    if (signal.aborted) return;
    await copyParked(writer, generation, at.parked);
    await writer.query(
      `update opstruth.generations set checkpoint_commit = $2, checkpoint_prepare = $3, events_applied = $4 where id = $1`,
      [generation.id, at.commit, at.prepare, at.eventsApplied],
    );
  } finally {
    await reader.query('rollback').catch(() => undefined); // the connection is given up with its transaction
    reader.release();
    writer.release();
  }
}

interface Snapshot {
  readonly commit: string;
  readonly prepare: string;
  readonly eventsApplied: string;
  readonly parked: object[];
}

async function snapshotOf(reader: PoolClient, source: Generation): Promise<Snapshot> {
  const { rows } = await reader.query<Snapshot>(
    `select checkpoint_commit as commit, checkpoint_prepare as prepare, events_applied as "eventsApplied",
       (select coalesce(json_agg(p), '[]') from ${source.schema}.parked_events p) as parked
     from opstruth.generations where id = $1`,
    [source.id],
  );
  if (!rows[0]) throw new Error(`generation ${source.id} at ${formatPosition(source.checkpoint)} is gone`);
  return rows[0];
}

async function writeRuns(
  client: PoolClient,
  generation: Generation,
  writes: Parameters<typeof send>[1],
  loaded: number,
): Promise<void> {
  await client.query('begin');
  try {
    const { rowCount } = await client.query(
      `update opstruth.generations set work_done = $2 where id = $1 and state = 'building'`,
      [generation.id, loaded],
    );
    if (rowCount !== 1) throw new Error(`replay ${generation.id} was ended by somebody else`);
    await send(client, writes);
    await client.query('commit');
  } catch (error) {
    await client.query('rollback');
    throw error;
  }
}

async function copyParked(client: PoolClient, to: Generation, parked: object[]): Promise<void> {
  await client.query(
    `insert into ${to.schema}.parked_events
     select * from json_populate_recordset(null::${to.schema}.parked_events, $1::json)`,
    [JSON.stringify(parked)],
  );
}

/** Takes a generation that is being built back to its beginning. */
export async function emptyGeneration(
  pool: Pool,
  { id, schema }: Generation,
  surfaces: readonly Surface[],
): Promise<void> {
  const names = [
    'run_facts',
    'scope_positions',
    'parked_events',
    ...tablesOf(surfaces).map(({ name }) => name),
  ];
  const client = await pool.connect();
  try {
    await client.query('begin');
    await client.query(`truncate ${names.map((name) => `${schema}.${name}`).join(', ')}`);
    await client.query(
      `update opstruth.generations set checkpoint_commit = 0, checkpoint_prepare = 0, events_applied = 0, work_done = 0,
         epoch = epoch + 1 where id = $1 and state = 'building'`,
      [id],
    );
    await client.query('commit');
  } catch (error) {
    await client.query('rollback');
    throw error;
  } finally {
    client.release();
  }
}
