import type { PoolClient } from 'pg';
import type { ClassifiedRun } from '../classifier/classified-run';
import { kyselyOn } from '../db/database';
import type { Judge } from '../domain/classification';
import { factsOf } from '../classifier/facts-document';
import type { FactsDocument } from '../classifier/facts-document';
import type { Instant } from '../events/instant';
import { isRunStream, runIdOf } from '../events/operation-run-events';
import { formatPosition } from '../events/position';
import { classify } from '../projector/fold-batch';
import type { Generation } from '../projector/generations';
import { judgeFor } from '../projector/live-classification';
import type { Row, SurfaceTable } from '../projector/surface';
import { contentOf, rowOf, tablesOf } from '../projector/surface-content';
import type { SurfaceContent } from '../projector/surface-content';
import { FACTS, factsRow } from '../projector/engine-rows';
import type { AuditContext, AuditReport } from './audit';
import { compareBuckets } from './audit-buckets';
import type { TablesShowing } from './audit-buckets';
import { Recount } from './audit-cells';
import { Differences } from './audit-differences';
import { inSnapshot } from '../db/transaction';
import { generationIn, rowsOfRuns, storedColumns } from './audit-snapshot';

export interface SurfaceAuditReport extends AuditReport {
  readonly asOf: Instant;
  readonly tables: number;
}

/** Runs looked at together: one query per table for each lot, and memory for one lot at a time. */
const RUNS_PER_LOT = 1_000;

/**
 * Shows every run of a generation anew from its facts and compares with all tables, in one snapshot: each keyed table has
 * exactly the rows it should, each count equals a recount, and every bucket at `asOf` equals its list. That covers what
 * surfaces promise each other (the overlay holds the active, failures all failed and reconciled, one notification per
 * terminal run ...), because each of them is a function of the same facts. Whether the facts are right is for
 * `auditStreams` to say. Reads only; takes as long as reading every table once.
 */
export async function auditSurfaces(
  { pool, surfaces }: Pick<AuditContext, 'pool' | 'surfaces'>,
  request: { readonly generation: Generation; readonly asOf: Instant },
): Promise<SurfaceAuditReport> {
  const { asOf } = request;
  const judge = await judgeFor(pool, request.generation);
  const tables = tablesOf(surfaces);
  const differences = new Differences();
  return inSnapshot(pool, async (client) => {
    const generation = await generationIn(client, request.generation.id);
    const { schema } = generation;
    const recount = new Recount(tables);
    const parked = await parkedRevisions(client, schema);
    const shown = { all: keyedOf(tables), active: keyedOf(tables) };
    let runs = 0;
    for await (const rows of factsInLots(client, schema)) {
      const lot: ShownRun[] = [];
      for (const row of rows) {
        const one = show(row, judge, tables, parked, differences);
        if (!one) continue;
        lot.push(one);
        recount.add(one.run, one.content);
      }
      await compareLot(client, schema, tables, lot, shown, differences);
      runs += rows.length;
    }
    // A run whose first event is parked has no facts; any other parked one must have been seen.
    for (const [runId, revision] of parked)
      if (revision > 0) differences.addRow(FACTS, runId, null, { run_id: runId });
    await findStrays(client, schema, tables, differences);
    await recount.compare(client, schema, differences);
    await compareBuckets(client, kyselyOn(pool), schema, { tables, shown }, asOf, differences);
    return {
      generation: generation.id,
      position: formatPosition(generation.checkpoint),
      asOf,
      tables: tables.length,
      runs,
      differences: differences.count,
      found: differences.first,
    };
  });
}

function keyedOf(tables: readonly SurfaceTable[]): Set<SurfaceTable> {
  return new Set(tables.filter(({ kind }) => kind === 'keyed'));
}

interface ShownRun {
  readonly run: ClassifiedRun;
  readonly content: SurfaceContent;
}

/** By key and not by a cursor, which would keep the tables' own queries off the connection. */
async function* factsInLots(client: PoolClient, schema: string): AsyncGenerator<Row[]> {
  let after = '';
  for (;;) {
    const { rows } = await client.query<Row & { run_id: string }>(
      `select ${storedColumns(FACTS.columns, 't')} from ${schema}.${FACTS.name} t
       where t.run_id > $1 order by t.run_id limit $2`,
      [after, RUNS_PER_LOT],
    );
    if (rows.length > 0) yield rows;
    const last = rows.at(-1);
    if (!last || rows.length < RUNS_PER_LOT) return;
    after = last.run_id;
  }
}

/** What the surfaces make of a run's stored facts; checks the facts' own columns on the way and takes `parked` off. */
function show(
  row: Row,
  judge: Judge,
  tables: readonly SurfaceTable[],
  parked: Map<string, number>,
  differences: Differences,
): ShownRun | null {
  const runId = String(row.run_id);
  const facts = factsOf(JSON.parse(String(row.facts)) as FactsDocument);
  const parkedFrom = parked.get(runId);
  parked.delete(runId);
  // It may be parked from later on than it is folded to: where an event is missing in the log, the next one is parked.
  if (parkedFrom !== undefined && parkedFrom < facts.version)
    differences.add({
      runId,
      table: FACTS.name,
      column: 'facts.version',
      stored: facts.version,
      expected: parkedFrom,
    });
  try {
    const run = classify(facts, judge, String(row.position), parkedFrom !== undefined);
    differences.addRow(FACTS, runId, row, factsRow(run));
    return { run, content: contentOf(tables, run) };
  } catch (error) {
    const expected = `something that can be shown: ${(error as Error).message}`;
    differences.add({ runId, table: FACTS.name, column: 'facts', stored: facts, expected });
    return null;
  }
}

async function compareLot(
  client: PoolClient,
  schema: string,
  tables: readonly SurfaceTable[],
  lot: readonly ShownRun[],
  shown: Record<keyof TablesShowing, Set<SurfaceTable>>,
  differences: Differences,
): Promise<void> {
  const keys = lot.map(({ run }) => ({ workspaceId: run.facts.workspaceId, runId: run.facts.runId }));
  for (const [index, table] of tables.entries()) {
    if (table.kind !== 'keyed') continue;
    const stored = await rowsOfRuns(client, schema, table, keys);
    for (const { run, content } of lot) {
      const expected = rowOf(content, index, table);
      if (expected === null) {
        shown.all.delete(table);
        if (run.facts.status !== 'completed') shown.active.delete(table);
      }
      differences.addRow(table, run.facts.runId, stored.get(run.facts.runId) ?? null, expected);
    }
  }
}

/** Rows of runs that nobody knows, at most so many per table. */
const STRAYS_PER_TABLE = 1_000;

async function findStrays(
  client: PoolClient,
  schema: string,
  tables: readonly SurfaceTable[],
  differences: Differences,
): Promise<void> {
  for (const table of tables) {
    if (table.kind !== 'keyed') continue;
    const { rows } = await client.query<{ run_id: string }>(
      `select t.run_id from ${schema}.${table.name} t
       where not exists (select from ${schema}.${FACTS.name} f
                         where f.run_id = t.run_id and f.workspace_id = t.workspace_id)
       limit $1`,
      [STRAYS_PER_TABLE],
    );
    for (const { run_id } of rows) differences.addRow(table, run_id, { run_id }, null);
  }
}

/** By run id, the revision from which on its stream waits. As few as the projector lets there be. */
async function parkedRevisions(client: PoolClient, schema: string): Promise<Map<string, number>> {
  const { rows } = await client.query<{ stream_id: string; revision: number }>(
    `select stream_id, min(revision) as revision from ${schema}.parked_events group by stream_id`,
  );
  const ofRuns = rows.filter((row) => isRunStream(row.stream_id));
  return new Map(ofRuns.map((row) => [runIdOf(row.stream_id), row.revision]));
}
