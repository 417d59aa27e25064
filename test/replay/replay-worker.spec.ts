import { generationById } from '../../src/projector/generations';
import type { Generation } from '../../src/projector/generations';
import { createLease } from '../../src/projector/lease';
import { buildGeneration } from '../../src/replay/build/generation-build';
import { dropTables } from '../../src/replay/build/drop-tables';
import { buildHere, buildIfFree, runReplayWorker } from '../../src/replay/replay-worker';
import type { Build } from '../../src/replay/replay-worker';
import { abortReplay, startReplay } from '../../src/replay/replays';
import { eventually } from '../support/eventually';
import { AS_OF, createReplayWorld, OPERATOR } from './replay-world';
import type { ReplayWorld } from './replay-world';

describe('the worker that builds replays', () => {
  let fixture: ReplayWorld['fixture'];
  let context: ReplayWorld['context'];
  const stopping: AbortController[] = [];
  const working: Promise<void>[] = [];

  beforeEach(async () => {
    ({ fixture, context } = await createReplayWorld());
  });
  const stopWorking = async () => {
    for (const one of stopping.splice(0)) one.abort();
    await Promise.all(working.splice(0));
  };
  afterEach(async () => {
    await stopWorking();
    await fixture.close();
  });

  function work(build: Build, lookEveryMs: number): void {
    const { pool, options } = fixture;
    const stop = new AbortController();
    stopping.push(stop);
    const log = { info: () => undefined, error: () => undefined };
    const leaseFor = (name: string) => createLease(pool, name, 'test', 5);
    const { surfaces } = options;
    const worker = { pool, surfaces, build, lookEveryMs, leaseFor, leaseTtlSeconds: 5, log };
    working.push(runReplayWorker(worker, stop.signal));
  }
  const stateOf = async ({ id }: Generation) => (await generationById(fixture.pool, id))!;

  test('a build that fails is tried again, with its failure told until it is ready', async () => {
    const generation = await startReplay(context, { full: true }, OPERATOR);
    const failures: (string | null)[] = [];
    work(async (one, signal) => {
      failures.push((await stateOf(one)).failure);
      if (failures.length <= 3) throw new Error(`attempt ${failures.length}`);
      await buildHere(fixture.options)(one, signal);
    }, 1);
    await eventually(async () => (await stateOf(generation)).state === 'ready');
    expect(failures).toEqual([null, 'attempt 1', 'attempt 2', 'attempt 3']);
    expect((await stateOf(generation)).failure).toBeNull();
  });

  test('one that is to go live waited behind all the historical ones', async () => {
    const until = { at: '2026-01-01T00:30:00.000Z' };
    const past = async () => (await startReplay(context, { until }, OPERATOR)).id;
    const [first, second] = [await past(), await past()];
    const built: number[] = [];
    let asked: number | undefined;
    work(async (one, signal) => {
      built.push(one.id);
      // Asked for while the first is built.
      asked ??= (await startReplay(context, { full: true }, OPERATOR)).id;
      await buildHere(fixture.options)(one, signal);
    }, 1);
    await eventually(() => Promise.resolve(built.length === 3));
    expect(built).toEqual([first, asked, second]);
    await eventually(async () => (await generationById(fixture.pool, second))!.state === 'ready');
  });

  test('a build that fails after another process has taken over says nothing against the replay', async () => {
    const { pool } = fixture;
    const generation = await startReplay(context, { full: true }, OPERATOR);
    let attempts = 0;
    work(async () => {
      attempts += 1;
      await pool.query(
        `update opstruth.leases set holder = 'another', expires_at = now() + interval '1 minute'`,
      );
      throw new Error('the session was ended');
    }, 1);
    await eventually(() => Promise.resolve(attempts > 0));
    await stopWorking();
    expect((await stateOf(generation)).failure).toBeNull();
  });

  const schemaOf = async ({ schema }: Generation) => {
    const { rows } = await fixture.pool.query('select 1 from pg_namespace where nspname = $1', [schema]);
    return rows.length > 0;
  };

  test.each([
    ['retiring', 'retired'],
    ['aborting', 'failed'],
  ])(
    'a process that was killed between %s a generation and dropping its tables left them for ever',
    async (_, state) => {
      const { pool, options } = fixture;
      const generation = await startReplay(context, { until: { at: AS_OF } }, OPERATOR);
      if (state === 'retired') await buildGeneration(generation.id, options, new AbortController().signal);
      await pool.query('update opstruth.generations set state = $2 where id = $1', [generation.id, state]);
      work(buildHere(options), 1);
      await eventually(async () => !(await schemaOf(generation)));
      expect(await schemaOf(fixture.generation)).toBe(true);
    },
  );

  test('a worker that found what an operator was about to drop ended his session', async () => {
    const { pool } = fixture;
    const generation = await startReplay(context, { full: true }, OPERATOR);
    const reader = await pool.connect();
    await reader.query(`begin; select from ${generation.schema}.parked_events`);
    let looks = 0;
    const query = pool.query.bind(pool) as (...given: unknown[]) => unknown;
    jest.spyOn(pool, 'query').mockImplementation((...given: unknown[]) => {
      if (String(given[0]).includes('pg_namespace')) looks += 1;
      return query(...given);
    });
    work(() => Promise.resolve(), 1);
    const aborted = abortReplay(context, generation.id, OPERATOR);
    await eventually(() => Promise.resolve(looks >= 10));
    await reader.query('commit');
    reader.release();
    await aborted;
    expect(await schemaOf(generation)).toBe(false);
  });

  test('what a build failed of was lost where its lease could not be asked for either', async () => {
    const generation = await startReplay(context, { full: true }, OPERATOR);
    const hold = jest
      .fn<Promise<boolean>, []>()
      .mockResolvedValueOnce(true)
      .mockRejectedValue(new Error('no connection'));
    const told: object[] = [];
    const outcome = await buildIfFree(
      generation,
      {
        pool: fixture.pool,
        build: () => Promise.reject(new Error('the disk is full')),
        leaseFor: () => ({ hold, release: () => Promise.resolve() }),
        leaseTtlSeconds: 5,
        log: { info: () => undefined, error: (fields) => told.push(fields) },
      },
      new AbortController().signal,
    );
    expect(outcome).toBe('failed');
    expect(told).toEqual([expect.objectContaining({ err: new Error('the disk is full') })]);
    expect((await stateOf(generation)).failure).toBe('the disk is full');
  });

  test('an end waited for a reader of the tables without end', async () => {
    const { pool } = fixture;
    const generation = await startReplay(context, { full: true }, OPERATOR);
    const reader = await pool.connect();
    await reader.query(`begin; select from ${generation.schema}.run_facts`);
    expect(await dropTables(pool, generation, 50)).toBe(false);
    await reader.query('commit');
    reader.release();
    expect(await dropTables(pool, generation)).toBe(true);
  });

  test('one that always fails was tried again each second, and kept others waiting', async () => {
    const historical = await startReplay(context, { until: { at: AS_OF } }, OPERATOR);
    const other = await startReplay(context, { full: true }, OPERATOR);
    let attempts = 0;
    let looks = 0;
    const build = buildHere(fixture.options);
    const { pool } = fixture;
    const query = pool.query.bind(pool) as (...given: unknown[]) => unknown;
    jest.spyOn(pool, 'query').mockImplementation((...given: unknown[]) => {
      if (String(given[0]).includes('from opstruth.generations order by id')) looks += 1;
      return query(...given);
    });
    work(async (one, signal) => {
      if (one.id !== historical.id) return build(one, signal);
      attempts += 1;
      throw new Error('never');
    }, 1);
    await eventually(async () => (await stateOf(other)).state === 'ready');
    await eventually(() => Promise.resolve(looks >= 100));
    // After 1, 2, 4, 8 ... looks at the soonest.
    expect(attempts).toBeGreaterThan(1);
    expect(attempts).toBeLessThan(looks / 4);
  });
});
