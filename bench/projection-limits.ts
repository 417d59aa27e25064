import type { PoolClient } from 'pg';
import type { ClassifiedRun } from '../src/classifier/classified-run';
import { evolve } from '../src/domain/run-facts';
import type { RunFacts } from '../src/domain/run-facts';
import type { EventStore } from '../src/event-store/event-store';
import { runIdOf } from '../src/events/operation-run-events';
import type { StoredEvent } from '../src/events/operation-run-events';
import { parseEvent } from '../src/events/parse-event';
import { START } from '../src/events/position';
import { foldBatch } from '../src/projector/fold-batch';
import { indexesSql, tablesSql } from '../src/projector/generation-schema';
import { runs as runsTable } from '../src/projector/run-tables';
import { contentOf } from '../src/projector/surface-content';
import { batchStatements } from '../src/projector/table-writer';
import type { Runtime } from '../src/runtime/runtime';

/** Events a second of reading the whole log in order, parsing and folding it, and keeping nothing else. */
export async function orderedReadRate({ store, config }: Runtime): Promise<number> {
  const facts = new Map<string, RunFacts>();
  let events = 0;
  const begun = performance.now();
  for await (const batch of batchesOf(store, config.projectorBatchSize)) {
    for (const event of batch) {
      const runId = runIdOf(event.streamId);
      facts.set(runId, evolve(facts.get(runId) ?? null, parseEvent(event)));
    }
    events += batch.length;
  }
  return events / ((performance.now() - begun) / 1000);
}

const SCHEMA = 'bench_one_table';

/**
 * Events a second of writing the rows of one table, that of every run with its five indexes, batch by batch, each in a
 * transaction of its own. Only the writing is timed: the rows are made before.
 */
export async function oneTableUpsertRate({ pool, store, config, live }: Runtime): Promise<number> {
  const client = await pool.connect();
  try {
    await createOneTable(client);
    const judge = live.current();
    const runs = new Map<string, ClassifiedRun>();
    let events = 0;
    let milliseconds = 0;
    for await (const batch of batchesOf(store, config.projectorBatchSize)) {
      const { changes, letters } = foldBatch(batch, {
        stateOf: (runId) => runs.get(runId) ?? null,
        judge,
        isParked: () => false,
        discardedIn: () => new Set(),
        contentOf: (run) => contentOf([runsTable], run),
      });
      for (const [runId, { after }] of changes) runs.set(runId, after);
      const statements = batchStatements(SCHEMA, [runsTable], changes, letters).writes.filter(({ name }) =>
        // What the engine writes for itself is not this limit's.
        name.startsWith(`${SCHEMA}.${runsTable.name} `),
      );
      const begun = performance.now();
      await client.query('begin');
      for (const statement of statements) await client.query(statement);
      await client.query('commit');
      milliseconds += performance.now() - begun;
      events += batch.length;
    }
    return events / (milliseconds / 1000);
  } finally {
    await client.query(`drop schema if exists ${SCHEMA} cascade`);
    client.release();
  }
}

async function createOneTable(client: PoolClient): Promise<void> {
  await client.query(`drop schema if exists ${SCHEMA} cascade`);
  const surfaces = [{ name: 'bench', tables: [runsTable] }];
  const statements = [...tablesSql(SCHEMA, surfaces), ...indexesSql(SCHEMA, surfaces)];
  for (const statement of statements) await client.query(statement);
}

async function* batchesOf(store: EventStore, batchSize: number): AsyncGenerator<StoredEvent[]> {
  let from = START;
  for (;;) {
    const batch = await store.readAll(from, batchSize);
    if (batch.length === 0) return;
    yield batch;
    from = batch.at(-1)!.position;
  }
}
