import { createHash } from 'node:crypto';
import type { Pool } from 'pg';
import { surfaces } from '../../projections/surfaces';
import { judgeWith } from '../../src/classifier/classifier';
import { parsePolicy } from '../../src/classifier/policy';
import type { Policy } from '../../src/classifier/policy';
import { decide } from '../../src/domain/decider';
import type { Judge } from '../../src/domain/classification';
import type { RunCommand } from '../../src/domain/decider';
import { evolve } from '../../src/domain/run-facts';
import type { RunFacts } from '../../src/domain/run-facts';
import type { EventStore } from '../../src/event-store/event-store';
import { recordedAt, streamOf } from '../../src/events/operation-run-events';
import type { NewEvent } from '../../src/events/operation-run-events';
import { comparePositions, START } from '../../src/events/position';
import type { Position } from '../../src/events/position';
import { catchUp as catchUpGeneration } from '../../src/projector/generation-projector';
import type { ProjectorOptions } from '../../src/projector/generation-projector';
import { createGeneration, ensureLiveGeneration } from '../../src/projector/generations';
import type { Generation } from '../../src/projector/generations';
import { savePolicy } from '../../src/projector/policies';
import { tableNames } from '../../src/replay/build/building';
import { createTestDatabase } from './database';
import { createTestLog, openTestStore } from './test-log';
import type { LogKind, TestLog } from './test-log';

export const TEST_POLICY: Policy = parsePolicy({
  defaults: { queuedStaleAfterSeconds: 600, runningStaleAfterSeconds: 900, reconcileAfterSeconds: 1800 },
});

/** A log and an empty live generation over it, on a database of one's own. */
export interface ProjectionFixture {
  readonly pool: Pool;
  readonly databaseUrl: string;
  readonly log: TestLog;
  readonly store: EventStore;
  readonly judge: Judge;
  readonly generation: Generation;
  readonly options: ProjectorOptions;
  /** Appends what the decider makes of the commands, in order; refused ones are left out. */
  write(commands: Iterable<{ runId: string; command: RunCommand }>): Promise<void>;
  /** Appends an event past the decider, as a bad deployment would. */
  writeRaw(runId: string, revision: number, type: string, data: unknown): Promise<void>;
  /** Another empty generation of the same kind, to project the same log into. */
  anotherGeneration(): Promise<Generation>;
  readonly catchUp: (generation?: Generation, options?: Partial<ProjectorOptions>) => Promise<void>;
  close(): Promise<void>;
}

export async function createProjectionFixture(
  policy: Policy = TEST_POLICY,
  logKind?: LogKind,
): Promise<ProjectionFixture> {
  const database = await createTestDatabase();
  const { pool } = database;
  const { log, close: closeLog } = await createTestLog(logKind);
  const store = openTestStore(log, pool);
  const policyVersion = await savePolicy(pool, policy, 'test', null);
  const judge = judgeWith(1, { version: policyVersion, policy });
  const wanted = { surfaces, classifierVersion: 1, policyVersion, logIdentity: await store.identity() };
  const generation = await ensureLiveGeneration(pool, wanted);
  const facts = new Map<string, RunFacts>();
  let written: Position = START;
  const wrote = (position: Position) => {
    if (comparePositions(position, written) > 0) written = position;
  };
  /** Readers do not see the newest events while a transaction of any other test on the server is older. */
  const untilVisible = async () => {
    for (let look = 0; look < 2_000; look++) {
      if (comparePositions(await store.tail(), written) >= 0) return;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    throw new Error('what was written has not become visible');
  };
  const options: ProjectorOptions = { pool, store, surfaces, judge, batchSize: 500 };

  return {
    pool,
    databaseUrl: database.url,
    log,
    store,
    judge,
    generation,
    options,
    async write(commands) {
      let events = new Map<string, { expected: number; events: NewEvent[] }>();
      const flush = async () => {
        const appends = [...events].map(([streamId, append]) => ({
          streamId,
          expectedRevision: append.expected < 0 ? ('no_stream' as const) : append.expected,
          events: append.events,
        }));
        events = new Map();
        const results = appends.length > 0 ? await store.appendMany(appends) : [];
        for (const result of results) {
          if (result.kind !== 'appended') throw new Error('the fixture lost a race');
          wrote(result.position);
        }
      };
      let count = 0;
      for (const { runId, command } of commands) {
        const before = facts.get(runId) ?? null;
        const decision = decide(before, command, judge);
        if (!decision.accepted) continue;
        const streamId = streamOf(runId);
        for (const event of decision.events) {
          const revision = facts.get(runId)?.version ?? 0;
          const metadata = testMetadata(`${streamId}@${revision}`);
          const eventId = metadata.commandId;
          const recorded = recordedAt(event, { eventId, streamId, revision, position: START, metadata });
          facts.set(runId, evolve(facts.get(runId) ?? null, recorded));
          const append = events.get(streamId) ?? { expected: revision - 1, events: [] };
          append.events.push({ eventId, type: event.type, data: event.data, metadata });
          events.set(streamId, append);
          count += 1;
          if (count % 500 === 0) await flush();
        }
      }
      await flush();
      await untilVisible();
    },
    async writeRaw(runId, revision, type, data) {
      const streamId = streamOf(runId);
      const metadata = testMetadata(`${streamId}@${revision}`);
      const result = await store.append({
        streamId,
        expectedRevision: revision === 0 ? 'no_stream' : revision - 1,
        events: [{ eventId: metadata.commandId, type, data, metadata }],
      });
      if (result.kind === 'conflict') throw new Error(`revision ${revision} of ${streamId} is taken`);
      wrote(result.position);
      await untilVisible();
    },
    async anotherGeneration() {
      const client = await pool.connect();
      try {
        return await createGeneration(client, { ...wanted, state: 'building' });
      } finally {
        client.release();
      }
    },
    catchUp: (other = generation, changed = {}) => catchUpGeneration(other.id, { ...options, ...changed }),
    async close() {
      await store.close();
      await closeLog();
      await database.close();
    },
  };
}

/** When a row came is all that two generations of one log may differ in. */
const WHEN_IT_CAME = ['parked_at'];

/** Every row of every table of a generation, as text, in key order: two generations are equal if these are. */
export async function dumpGeneration(pool: Pool, schema: string): Promise<Record<string, string[]>> {
  return dump(pool, schema, WHEN_IT_CAME);
}

/** The same without positions: what two generations over two logs have in common. */
export async function dumpWithoutPositions(pool: Pool, schema: string): Promise<Record<string, string[]>> {
  return dump(pool, schema, [...WHEN_IT_CAME, 'position', 'commit', 'prepare']);
}

async function dump(pool: Pool, schema: string, without: readonly string[]) {
  const names = tableNames(surfaces);
  const { rows: tables } = await pool.query<{ name: string; columns: string }>(
    `select table_name as name, string_agg(quote_ident(column_name), ', ' order by ordinal_position) as columns
     from information_schema.columns
     where table_schema = $1 and table_name = any($2::text[]) and column_name <> all ($3::text[]) group by table_name`,
    [schema, names, without],
  );
  if (tables.length !== names.length) throw new Error(`${schema} has not all tables of a generation`);
  const rowsOf: Record<string, string[]> = {};
  for (const { name, columns } of tables) {
    const { rows } = await pool.query<{ row: string }>(
      `select t::text as row from (select ${columns} from ${schema}.${name}) t order by 1`,
    );
    rowsOf[name] = rows.map(({ row }) => row);
  }
  return rowsOf;
}

function testMetadata(text: string) {
  const hex = createHash('sha1').update(text).digest('hex');
  const id = `${hex.slice(0, 8)}-${hex.slice(8, 12)}-5${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
  return { actor: 'test', plane: 'worker' as const, commandId: id, correlationId: id, causationId: id };
}
