import { generationById } from '../../src/projector/generations';
import { runIdOf } from '../../src/events/operation-run-events';
import { projectionStatus } from '../../src/projector/projection-status';
import { createLease } from '../../src/projector/lease';
import { auditStreams } from '../../src/audit/audit';
import type { AuditReport } from '../../src/audit/audit';
import { runAuditLoop } from '../../src/audit/audit-loop';
import { auditInLooks } from '../../src/audit/audit-looks';
import { auditSurfaces } from '../../src/audit/audit-surfaces';
import { createRandom } from '../../src/simulator/random';
import { testClock } from '../support/database';
import { createProjectionFixture } from '../support/projection';
import type { ProjectionFixture } from '../support/projection';
import { AS_OF, writeEverything } from './audit-workload';

let fixture: ProjectionFixture;
beforeAll(async () => {
  fixture = await createProjectionFixture();
  await writeEverything(fixture);
});
afterAll(() => fixture.close());

const ALL = 10_000;

function chance(seed: number): () => number {
  const random = createRandom(seed);
  return () => random.between(0, 1);
}

async function streams(sample = ALL, seed = 1) {
  const generation = (await generationById(fixture.pool, fixture.generation.id))!;
  return auditStreams(fixture.options, { generation, sample, random: chance(seed) });
}

async function surfaces(asOf = AS_OF) {
  return auditSurfaces(fixture.options, { generation: fixture.generation, asOf });
}

/** Damages a table for the length of `work`. Not by `truncate`, which empties it for snapshots taken before as well. */
async function damaged<T>(statement: string, table: string, work: () => Promise<T>): Promise<T> {
  const { schema } = fixture.generation;
  await fixture.pool.query(`create table ${schema}.kept as select * from ${schema}.${table}`);
  try {
    await fixture.pool.query(statement.replaceAll('$schema', schema));
    return await work();
  } finally {
    await fixture.pool.query(
      `delete from ${schema}.${table}; insert into ${schema}.${table} select * from ${schema}.kept; drop table ${schema}.kept`,
    );
  }
}

test('a run whose facts were gone was never found missing by a sample, which was drawn from the facts alone', async () => {
  const { generation, options, pool } = fixture;
  const { rows } = await pool.query<{ run_id: string }>(
    `select run_id from ${generation.schema}.run_facts order by run_id limit 1`,
  );
  const runId = rows[0]!.run_id;
  const statement = `delete from $schema.run_facts where run_id = '${runId}'`;
  await damaged(statement, 'run_facts', async () => {
    const now = (await generationById(pool, generation.id))!;
    const found = [{ runId, table: 'run_facts', column: '(row)', stored: 'missing', expected: 'present' }];
    // From the beginning of the log, and from places behind the run's events.
    for (const random of [() => 0, chance(1), chance(2)]) {
      const asked = { generation: now, sample: ALL, random };
      expect((await auditStreams(options, asked)).found).toEqual(found);
      expect(await auditInLooks(options, asked, 50)).toMatchObject({ differences: 1, found });
    }
  });
});

test('a run that was parked behind a hole in its stream counted as one that had missed an event', async () => {
  const behindHole = `update $schema.parked_events set revision = revision + 3 where stream_id = 'operation_run-parked'`;
  await damaged(behindHole, 'parked_events', async () => {
    expect(await surfaces()).toMatchObject({ differences: 0, found: [] });
  });
});

describe('a generation that says what the log says', () => {
  test('differs in nothing: parked, discarded, retried, reconciled and late runs included', async () => {
    const report = await streams();
    expect(report).toMatchObject({ differences: 0, found: [] });
    const { rows } = await fixture.pool.query<{ runs: number }>(
      `select count(*)::int as runs from ${fixture.generation.schema}.run_facts`,
    );
    expect(report.runs).toBe(rows[0]!.runs);
    expect(report.runs).toBeGreaterThan(200);
  });

  test.each(['2026-01-01T00:00:00.000Z', AS_OF, '2026-01-09T00:00:00.000Z'])(
    'has surfaces that agree at %s',
    async (asOf) => {
      expect(await surfaces(asOf)).toMatchObject({ differences: 0, found: [], asOf });
    },
  );

  test('is sampled at random: as many runs as asked for, others each time, the same for the same chance', async () => {
    const statements = jest.spyOn(fixture.store, 'readStreams');
    for (const seed of [1, 1, 2]) expect((await streams(15, seed)).runs).toBe(15);
    const [first, again, other] = statements.mock.calls.map(([streamIds]) => [...streamIds].sort());
    statements.mockRestore();
    expect(first).toEqual(again);
    expect(first).not.toEqual(other);
    expect(new Set(first).size).toBe(15);
  });

  test('is sampled in several looks without a run twice, and whole where the sample is as large as it is', async () => {
    const { rows } = await fixture.pool.query<{ run_id: string }>(
      `select run_id from ${fixture.generation.schema}.run_facts`,
    );
    const all = rows.map((row) => row.run_id).sort();
    const looked = jest.spyOn(fixture.store, 'readStreams');
    const inLooks = async (sample: number, seed: number) => {
      looked.mockClear();
      const random = createRandom(seed);
      const report = await auditInLooks(
        fixture.options,
        { generation: fixture.generation, sample, random: () => random.between(0, 1) },
        50,
      );
      const runs = looked.mock.calls.map(([streamIds]) => streamIds.map(runIdOf));
      expect(Math.max(...runs.map(({ length }) => length))).toBeLessThanOrEqual(50);
      expect(new Set(runs.flat()).size).toBe(report.runs);
      expect(runs.flat()).toHaveLength(report.runs);
      return { runs: runs.flat().sort(), report };
    };
    for (const sample of [all.length - 1, all.length, ALL]) {
      const { runs, report } = await inLooks(sample, 1);
      expect(report).toMatchObject({ differences: 0, runs: Math.min(sample, all.length) });
      if (sample >= all.length) expect(runs).toEqual(all);
    }
    const some = (await inLooks(90, 1)).runs;
    expect(some).toHaveLength(90);
    expect((await inLooks(90, 1)).runs).toEqual(some);
    expect((await inLooks(90, 2)).runs).not.toEqual(some);
    // From everywhere, not the first ones of the order.
    expect(some.at(-1)! > all[150]!).toBe(true);

    const statement = `update $schema.runs set type = 'nonsense'`;
    await damaged(statement, 'runs', async () => {
      const { report } = await inLooks(ALL, 1);
      expect(report.differences).toBe(report.runs);
      expect(report.found).toHaveLength(100);
    });
    looked.mockRestore();
  });

  test('is audited under its own rules while the log is ahead of it', async () => {
    const at = '2026-01-01T07:00:00.000Z';
    await fixture.write([{ runId: 'successor', command: { kind: 'start', at } }]);
    expect((await streams()).differences).toBe(0);
    await fixture.catchUp();
    expect((await streams()).differences).toBe(0);
  });
});

test('a parked stream that is no run counted as a run whose facts are missing', async () => {
  const { pool, generation } = fixture;
  const parked = `${generation.schema}.parked_events`;
  await pool.query(
    `insert into ${parked} (stream_id, revision, event_type, commit, prepare, cause) values ('operation-run-42', 3, 'Odd', 1, 1, 'odd')`,
  );
  try {
    expect((await surfaces()).found).toEqual([]);
  } finally {
    await pool.query(`delete from ${parked} where stream_id = 'operation-run-42'`);
  }
});

describe('what is planted is found and named', () => {
  test('a wrong value in one row', async () => {
    const statement = `update $schema.runs set status = 'queued' where run_id = 'reconciled'`;
    await damaged(statement, 'runs', async () => {
      const found = [
        {
          runId: 'reconciled',
          table: 'runs',
          column: 'status',
          stored: 'queued',
          expected: 'completed',
        },
      ];
      expect(await streams()).toMatchObject({ differences: 1, found });
      expect(await surfaces()).toMatchObject({ differences: 1, found });
    });
  });

  test('a wrong member of a JSON column, and a deadline off by a microsecond', async () => {
    const shown = `update $schema.run_facts set run = jsonb_set(run::jsonb, '{type}', '"backup"')::json
      where run_id = 'successor'`;
    const different = ({ found }: AuditReport) => found.map(({ table, column }) => `${table}.${column}`);
    await damaged(shown, 'run_facts', async () => {
      expect(different(await streams())).toEqual(['run_facts.run.type']);
      expect(different(await surfaces())).toEqual(['run_facts.run.type']);
    });
    const deadline = `update $schema.active_runs set stale_at = stale_at + interval '1 microsecond'
      where run_id = 'successor'`;
    await damaged(deadline, 'active_runs', async () => {
      expect(different(await streams())).toEqual(['active_runs.stale_at']);
    });
  });

  test('a stuck run that has lost its deadline or its row, as a row and as the bucket it is missed in', async () => {
    const { rows } = await fixture.pool.query<{ run_id: string }>(
      `select run_id from ${fixture.generation.schema}.active_runs where stale_at < $1 limit 1`,
      [AS_OF],
    );
    const runId = rows[0]!.run_id;
    for (const [statement, column] of [
      [`update $schema.active_runs set stale_at = null where run_id = '${runId}'`, 'stale_at'],
      [`delete from $schema.active_runs where run_id = '${runId}'`, '(row)'],
    ] as const)
      await damaged(statement, 'active_runs', async () => {
        const { found } = await surfaces();
        expect(found.map((one) => [one.runId, one.table, one.column])).toEqual([
          [runId, 'active_runs', column],
          [null, 'active_runs', 'active_stale_attention at the instant'],
        ]);
      });
  });

  test('a missing row, and one too many', async () => {
    const missing = `delete from $schema.notifications_messages where run_id = 'retried'`;
    await damaged(missing, 'notifications_messages', async () => {
      const one = { runId: 'retried', table: 'notifications_messages', column: '(row)', stored: 'missing' };
      expect((await streams()).found).toMatchObject([one]);
      expect((await surfaces()).found).toMatchObject([one]);
    });
    const stray = `insert into $schema.active_runs
      values ('workspace-1', null, 'sync', 'running', 'pending', 'none', 'open', 'none', 'nobody', now(), now())`;
    await damaged(stray, 'active_runs', async () => {
      expect((await surfaces()).found).toContainEqual({
        runId: 'nobody',
        table: 'active_runs',
        column: '(row)',
        stored: 'present',
        expected: 'missing',
      });
    });
  });

  test('a wrong counter, as a cell and as the buckets it is in', async () => {
    const statement = `update $schema.run_workspace_counts set n = n + 1
      where ctid = (select ctid from $schema.run_workspace_counts where problem_class = 'terminal_follow_up' limit 1)`;
    await damaged(statement, 'run_workspace_counts', async () => {
      const { found } = await surfaces();
      expect(found.map(({ runId, table, column }) => [runId, table, column])).toEqual([
        [null, 'run_workspace_counts', 'n'],
        [null, 'run_workspace_counts', 'terminal_follow_up at the instant'],
        [null, 'run_workspace_counts', 'all at the instant'],
      ]);
      expect(found[0]!.stored).toBe(Number(found[0]!.expected) + 1);
      expect(found[0]!.cell).toMatchObject({ problem_class: 'terminal_follow_up' });
    });
  });

  test('a wrong fact: by the log in the facts, by the facts in the tables', async () => {
    const statement = `update $schema.run_facts
      set facts = jsonb_set(facts::jsonb, '{summaryCounts}', '{"items": 2}')::json where run_id = 'reconciled'`;
    await damaged(statement, 'run_facts', async () => {
      expect((await streams()).found).toEqual([
        {
          runId: 'reconciled',
          table: 'run_facts',
          column: 'facts.summaryCounts',
          stored: { items: 2 },
          expected: { items: 1 },
        },
      ]);
      const { found } = await surfaces();
      expect(found[0]).toMatchObject({ runId: 'reconciled', column: 'run.summaryCounts' });
    });
  });

  test('an event that was skipped, and one that was applied behind a parked one', async () => {
    const skipped = `update $schema.run_facts set facts = jsonb_set(facts::jsonb, '{version}', '1')::json
      where run_id = 'retried'`;
    await damaged(skipped, 'run_facts', async () => {
      expect((await streams()).found).toMatchObject([{ column: 'facts.version', stored: 1, expected: 3 }]);
    });
    const unparked = `delete from $schema.parked_events where stream_id = 'operation_run-parked'`;
    await damaged(unparked, 'parked_events', async () => {
      const { found } = await streams();
      expect(found[0]).toMatchObject({ runId: 'parked', table: 'parked_events', stored: 'missing' });
      expect(found).toContainEqual(
        expect.objectContaining({ column: 'incomplete', stored: true, expected: false }),
      );
    });
  });

  test('a scope whose position ran ahead of its runs', async () => {
    const statement = `update $schema.scope_positions set prepare = prepare + 1 where tenant_id = 'tenant-1'`;
    await damaged(statement, 'scope_positions', async () => {
      const { found } = await surfaces();
      expect(found.length).toBeGreaterThan(0);
      for (const { table, column } of found) expect([table, column]).toEqual(['scope_positions', 'position']);
    });
  });

  test('all of it in number, and the first hundred by name', async () => {
    const statement = `update $schema.runs set type = 'nonsense'`;
    await damaged(statement, 'runs', async () => {
      const report = await streams();
      expect(report.differences).toBe(report.runs);
      expect(report.found).toHaveLength(100);
    });
  });
});

test('the audit of the background says in the status what it found, and keeps it when later looks find nothing', async () => {
  const { pool, store } = fixture;
  const look = async () => {
    const { generations } = await projectionStatus(pool, store, testClock(AS_OF));
    return generations.find(({ generation }) => generation === fixture.generation.id)!.audit;
  };
  expect(await look()).toBeNull();
  const errors: object[] = [];
  const stopping = new AbortController();
  const untilRuns = async (runs: number) => {
    const giveUpAt = Date.now() + 15_000;
    while (((await look())?.runsTotal ?? 0) < runs && Date.now() < giveUpAt)
      await new Promise((resolve) => setTimeout(resolve, 20));
  };
  const statement = `update $schema.runs set type = 'nonsense'`;
  const lease = createLease(pool, 'audit', 'test', 5);
  const log = { info: () => undefined, error: (fields: object) => errors.push(fields) };
  const options = { ...fixture.options, lease, everyMs: 10, sample: 3, random: Math.random, log };
  let loop: Promise<void> = Promise.resolve();
  try {
    await damaged(statement, 'runs', async () => {
      loop = runAuditLoop(options, stopping.signal);
      await untilRuns(3);
    });
    await untilRuns(((await look())?.runsTotal ?? 0) + 6);
  } finally {
    stopping.abort();
    await loop;
  }
  const result = (await look())!;
  expect(result).toMatchObject({ runs: 3, differences: 0 });
  expect(result.differencesTotal).toBeGreaterThanOrEqual(3);
  expect(result.foundAt).not.toBeNull();
  expect(result.found[0]).toMatchObject({ table: 'runs', column: 'type', stored: 'nonsense' });
  expect(errors[0]).toMatchObject({ differences: 3 });
  const { rows } = await pool.query(`select from opstruth.leases where name = 'audit'`);
  expect(rows).toEqual([]);
});
