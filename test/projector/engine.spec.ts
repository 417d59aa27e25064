import { isDeepStrictEqual } from 'node:util';
import type { EventStore } from '../../src/event-store/event-store';
import { simulateWorkload } from '../../src/simulator/workload';
import type { WorkloadOptions } from '../../src/simulator/workload';
import { catchUp } from '../../src/projector/generation-projector';
import { FencedError } from '../../src/projector/run-folding';
import { generationById } from '../../src/projector/generations';
import { followProjections } from '../../src/projector/projection-news';
import { eventually } from '../support/eventually';
import { createProjectionFixture, dumpGeneration } from '../support/projection';
import type { ProjectionFixture } from '../support/projection';
import { queueCommand } from '../support/queue-command';

const WORKLOAD: WorkloadOptions = {
  seed: 7,
  runs: 400,
  start: '2026-01-01T00:00:00.000Z',
  meanGapSeconds: 10,
  workspaces: 3,
  tenantsPerWorkspace: 4,
  meanRunSeconds: 240,
  heartbeatSeconds: 60,
  idPrefix: 'run-',
};

const T0 = '2026-01-01T00:00:00.000Z';

const queue = (runId: string, at = T0) => ({ runId, command: queueCommand(at) });

async function count(fixture: ProjectionFixture, table: string, where = 'true'): Promise<number> {
  const { rows } = await fixture.pool.query<{ n: number }>(
    `select count(*)::int as n from ${fixture.generation.schema}.${table} where ${where}`,
  );
  return rows[0]!.n;
}

describe('the projector engine', () => {
  let fixture: ProjectionFixture;
  beforeEach(async () => {
    fixture = await createProjectionFixture();
  });
  afterEach(() => fixture.close());

  test('the same log gives the same rows whatever the batch size, and whether in one go or with stops between', async () => {
    const workload = [...simulateWorkload(WORKLOAD)];
    await fixture.write(workload.slice(0, 1_000));
    await fixture.write([queue('bad')]);
    await fixture.writeRaw('bad', 1, 'OperationRunStarted', { occurredAt: 42 });
    await fixture.write(workload.slice(1_000));
    await fixture.writeRaw('bad', 2, 'OperationRunProgressed', { occurredAt: T0, summaryCounts: null });
    const large = fixture.generation;
    const [small, resumed] = [await fixture.anotherGeneration(), await fixture.anotherGeneration()];
    await fixture.catchUp(large, { batchSize: 5000 });
    await fixture.catchUp(small, { batchSize: 37 });
    for (let stop = 0; stop < 3; stop++) {
      const halting = new AbortController();
      let batches = 0;
      const onBatch = () => (batches++ === 4 ? halting.abort() : undefined);
      await catchUp(resumed.id, { ...fixture.options, batchSize: 100, onBatch }, halting.signal);
    }
    await fixture.catchUp(resumed, { batchSize: 100 });

    const expected = await dumpGeneration(fixture.pool, large.schema);
    expect(expected.run_facts).toHaveLength(WORKLOAD.runs + 1);
    expect(expected.runs).toHaveLength(WORKLOAD.runs + 1);
    expect(expected.parked_events).toHaveLength(2);
    expect(await dumpGeneration(fixture.pool, small.schema)).toEqual(expected);
    expect(await dumpGeneration(fixture.pool, resumed.schema)).toEqual(expected);
  }, 90_000);

  test('tells whoever listens how far each generation has come', async () => {
    const lost: Error[] = [];
    const news = followProjections({ pool: fixture.pool, onError: (error) => lost.push(error) });
    try {
      await news.wait(new AbortController().signal); // it listens, having nothing to say yet
      expect(news.reached(fixture.generation.id)).toBeNull();
      await fixture.write([queue('a'), queue('b')]);
      await fixture.catchUp(fixture.generation, { batchSize: 1 });
      const { checkpoint } = (await generationById(fixture.pool, fixture.generation.id))!;
      while (!isDeepStrictEqual(news.reached(fixture.generation.id), checkpoint))
        await news.wait(new AbortController().signal, 5);
      expect(lost).toEqual([]);
    } finally {
      await news.close();
    }
  });

  test('counters equal a recount of the rows, and cells that reach zero are gone', async () => {
    await fixture.write(simulateWorkload(WORKLOAD));
    await fixture.catchUp(fixture.generation, { batchSize: 61 });
    const { schema } = fixture.generation;
    const columns = 'workspace_id, tenant_id, type, status, outcome, problem_class, resolution, lineage';
    const { rows } = await fixture.pool.query(
      `(select ${columns}, count(*) as n from ${schema}.runs group by ${columns}
        except select ${columns}, n from ${schema}.run_counts)
       union all
       (select ${columns}, n from ${schema}.run_counts
        except select ${columns}, count(*) from ${schema}.runs group by ${columns})`,
    );
    expect(rows).toEqual([]);
  });

  test('a run that a surface no longer shows leaves it', async () => {
    await fixture.write([queue('a'), queue('b')]);
    await fixture.catchUp();
    expect(await count(fixture, 'active_runs')).toBe(2);
    await fixture.write([{ runId: 'a', command: { kind: 'cancel', at: T0, reason: null } }]);
    await fixture.catchUp();
    expect(await count(fixture, 'active_runs')).toBe(1);
    expect(await count(fixture, 'notifications_messages')).toBe(1);
  });

  test('a projector that another has overtaken is fenced, and every event is applied once', async () => {
    await fixture.write(simulateWorkload({ ...WORKLOAD, runs: 150 }));
    const reference = await fixture.anotherGeneration();
    await fixture.catchUp(reference);
    let reads = 0;
    let written = 0;
    const readAll: EventStore['readAll'] = async (...args) => {
      // With two batches written and none under way, the other comes by.
      if (++reads === 3) {
        await eventually(() => Promise.resolve(written === 2));
        await fixture.catchUp();
      }
      return fixture.store.readAll(...args);
    };
    const overtaken = fixture.catchUp(fixture.generation, {
      batchSize: 20,
      store: { ...fixture.store, readAll },
      onBatch: () => void written++,
    });
    await expect(overtaken).rejects.toBeInstanceOf(FencedError);
    expect(await dumpGeneration(fixture.pool, fixture.generation.schema)).toEqual(
      await dumpGeneration(fixture.pool, reference.schema),
    );
  });

  test('of projectors of one generation at the same time none is stopped but by being fenced, and every event is applied once', async () => {
    await fixture.write(simulateWorkload({ ...WORKLOAD, runs: 150 }));
    const reference = await fixture.anotherGeneration();
    await fixture.catchUp(reference);
    const racing = [1, 2, 3].map(() => fixture.catchUp(fixture.generation, { batchSize: 20 }));
    const results = await Promise.allSettled(racing);
    const refused = results.filter((result) => result.status === 'rejected');
    for (const { reason } of refused) expect(reason).toBeInstanceOf(FencedError);
    await fixture.catchUp();
    expect(await dumpGeneration(fixture.pool, fixture.generation.schema)).toEqual(
      await dumpGeneration(fixture.pool, reference.schema),
    );
  });

  test('runs of batches that are still being written are not read from the tables, however few memory is to hold', async () => {
    await fixture.write(simulateWorkload({ ...WORKLOAD, runs: 150 }));
    const reference = await fixture.anotherGeneration();
    await fixture.catchUp(reference);
    await fixture.catchUp(fixture.generation, { batchSize: 10, cachedRuns: 1 });
    expect(await dumpGeneration(fixture.pool, fixture.generation.schema)).toEqual(
      await dumpGeneration(fixture.pool, reference.schema),
    );
  });

  test('a checkpoint beyond the end of the log refuses to go on', async () => {
    await fixture.write([queue('a')]);
    await fixture.catchUp();
    const wiped = await createProjectionFixture();
    const catchingUp = fixture.catchUp(fixture.generation, { store: wiped.store });
    await expect(catchingUp).rejects.toThrow(/the log ends at/);
    await wiped.close();
  });
});
