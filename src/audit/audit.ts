import type { Pool, PoolClient } from 'pg';
import type { EventStore } from '../event-store/event-store';
import { runIdOf, streamOf } from '../events/operation-run-events';
import type { StoredEvent } from '../events/operation-run-events';
import { comparePositions, formatPosition } from '../events/position';
import { DiscardedEvents } from '../projector/discarded-events';
import { foldBatch } from '../projector/fold-batch';
import type { FoldedBatch } from '../projector/fold-batch';
import { isHistorical } from '../projector/generations';
import type { Generation } from '../projector/generations';
import { judgeFor } from '../projector/live-classification';
import type { Row, Surface } from '../projector/surface';
import { contentOf, rowOf, tablesOf } from '../projector/surface-content';
import { FACTS, factsRow } from '../projector/engine-rows';
import { Differences } from './audit-differences';
import type { AuditDifference } from './audit-differences';
import { inSnapshot } from '../db/transaction';
import { generationIn, rowsOfRuns, storedColumns } from './audit-snapshot';
import { missingIn, pickRuns } from './audit-sample';
import { LogWalk, runsOf } from './log-walk';

export interface AuditContext {
  readonly pool: Pool;
  readonly store: EventStore;
  readonly surfaces: readonly Surface[];
}

export interface AuditReport {
  readonly generation: number;
  /** The position at which the tables were looked at. */
  readonly position: string;
  /** Runs that were compared. */
  readonly runs: number;
  readonly differences: number;
  /** The first few of them. */
  readonly found: readonly AuditDifference[];
}

/** A run as the generation has it: everything of it that was stored at one instant. */
interface StoredState {
  readonly runId: string;
  /** Null where the generation has none of a run that the log tells of. */
  readonly facts: Row | null;
  /** The revision from which on its events are set aside; null when none is. */
  readonly parkedFrom: number | null;
  /** Its row in each keyed table, by the table's place among all tables. */
  readonly rows: ReadonlyMap<number, Row>;
}

/** The ids of the runs to look at, each once. */
export type PickRuns = (client: PoolClient, schema: string) => Promise<string[]>;

interface Sample {
  readonly generation: Generation;
  readonly runs: readonly StoredState[];
  readonly discarded: DiscardedEvents;
}

/**
 * Folds `sample` random runs of a generation anew from the log's first event on and compares what comes out with every
 * row that the generation has of them. Finds what lag cannot tell: events skipped or applied twice, and folds, classifiers
 * or surfaces that are not pure. As many events somewhere in the log are looked at for runs that the generation has lost. Reads
 * only; a constant number of queries whatever the sample. `random` as `Math.random`.
 */
export async function auditStreams(
  context: AuditContext,
  {
    generation,
    sample,
    random,
  }: { readonly generation: Generation; readonly sample: number; readonly random: () => number },
): Promise<AuditReport> {
  const walk = await LogWalk.begin(context, { generation, events: sample, random });
  const told = runsOf(await walk.rest());
  return auditPicked(context, generation, (client, schema) => pickRuns(client, schema, sample, random), told);
}

/** The same for the runs that `pick` names, out of the snapshot in which they are looked at, and those of `told` that are missing in it. */
export async function auditPicked(
  { pool, store, surfaces }: AuditContext,
  { id }: Pick<Generation, 'id'>,
  pick: PickRuns,
  told: readonly string[] = [],
): Promise<AuditReport> {
  const tables = tablesOf(surfaces);
  const { generation, runs, discarded } = await inSnapshot(pool, (client) =>
    readSample(client, id, surfaces, pick, told),
  );
  const judge = await judgeFor(pool, generation);
  // After the snapshot and not within it: the log only grows, and this needs no second connection beside a held one.
  const streams = await store.readStreams(runs.map(({ runId }) => streamOf(runId)));
  const events = runs.flatMap((run) => foldedEvents(run, generation, streams.get(streamOf(run.runId)) ?? []));
  const folded = foldBatch(events, {
    stateOf: () => null,
    judge,
    isParked: () => false,
    discardedIn: discarded.in,
    contentOf: (run) => contentOf(tables, run),
  });

  const differences = new Differences();
  addFreshlyParked(folded, differences);
  for (const { runId, facts, parkedFrom, rows } of runs) {
    const change = folded.changes.get(runId);
    const incomplete = parkedFrom !== null;
    const after = change && { ...change.after, incomplete };
    const content = after && (incomplete ? contentOf(tables, after) : change.content);
    differences.addRow(FACTS, runId, facts, after ? factsRow(after) : null);
    // Of a run that is missing nobody knows where its other rows would be.
    if (!facts) continue;
    tables.forEach((table, index) => {
      if (table.kind === 'keyed')
        differences.addRow(
          table,
          runId,
          rows.get(index) ?? null,
          content ? rowOf(content, index, table) : null,
        );
    });
  }
  return {
    generation: generation.id,
    position: formatPosition(generation.checkpoint),
    runs: runs.filter(({ facts }) => facts !== null).length,
    differences: differences.count,
    found: differences.first,
  };
}

async function readSample(
  client: PoolClient,
  generationId: number,
  surfaces: readonly Surface[],
  pick: PickRuns,
  told: readonly string[],
): Promise<Sample> {
  const generation = await generationIn(client, generationId);
  const { schema } = generation;
  const runIds = await pick(client, schema);
  const missing = await missingIn(client, schema, told);
  const streamIds = [...runIds, ...missing].map(streamOf);
  const { rows: facts } = await client.query<Row & { run_id: string; workspace_id: string }>(
    `select ${storedColumns(FACTS.columns, 't')} from ${schema}.${FACTS.name} t where t.run_id = any($1::text[])`,
    [runIds],
  );
  const { rows: parked } = await client.query<{ stream_id: string; revision: number }>(
    `select stream_id, min(revision) as revision from ${schema}.parked_events
     where stream_id = any($1::text[]) group by stream_id`,
    [streamIds],
  );
  const keys = facts.map((row) => ({ workspaceId: row.workspace_id, runId: row.run_id }));
  const shown = new Map<number, Map<string, Row>>();
  for (const [index, table] of tablesOf(surfaces).entries())
    if (table.kind === 'keyed') shown.set(index, await rowsOfRuns(client, schema, table, keys));
  const parkedFrom = new Map(parked.map((row) => [runIdOf(row.stream_id), row.revision]));
  return {
    generation,
    discarded: await new DiscardedEvents(client).refresh(),
    runs: [
      ...facts.map((row) => ({
        runId: row.run_id,
        facts: row,
        parkedFrom: parkedFrom.get(row.run_id) ?? null,
        rows: new Map(
          [...shown].flatMap(([index, rows]) => {
            const found = rows.get(row.run_id);
            return found ? [[index, found] as const] : [];
          }),
        ),
      })),
      ...missing.map((runId) => ({
        runId,
        facts: null,
        parkedFrom: parkedFrom.get(runId) ?? null,
        rows: new Map<number, Row>(),
      })),
    ],
  };
}

/**
 * The events that the stored facts must be made of: up to the checkpoint (whatever version the facts claim, so that a
 * skipped event shows), and of a parked stream those before the one that failed.
 */
function foldedEvents(
  { facts, parkedFrom }: StoredState,
  generation: Generation,
  stream: readonly StoredEvent[],
): StoredEvent[] {
  if (parkedFrom !== null) return stream.filter(({ revision }) => revision < parkedFrom);
  // By source time a historical generation ends inside streams, at no position: its own version must do.
  if (facts && isHistorical(generation)) {
    const { version } = JSON.parse(String(facts.facts)) as { version: number };
    return stream.filter(({ revision }) => revision < version);
  }
  return stream.filter(({ position }) => comparePositions(position, generation.checkpoint) <= 0);
}

/** The fold has just refused what the generation once took: its code has changed without a new generation. */
function addFreshlyParked({ letters }: FoldedBatch, differences: Differences): void {
  for (const { event, cause } of letters)
    if (cause !== null)
      differences.add({
        runId: runIdOf(event.streamId),
        table: 'parked_events',
        column: '(row)',
        stored: 'missing',
        expected: `revision ${event.revision}: ${cause}`,
      });
}
