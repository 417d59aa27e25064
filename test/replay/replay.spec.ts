import { comparisonLines } from '../../src/cli/replay-lines';
import type { EventStore } from '../../src/event-store/event-store';
import { ensureLiveGeneration, generationById, liveGeneration } from '../../src/projector/generations';
import { comparePositions, START } from '../../src/events/position';
import { createLease } from '../../src/projector/lease';
import { judgeFor } from '../../src/projector/live-classification';
import { createProjectorHealth, runProjectorRole } from '../../src/projector/projector-role';
import { checkCutover, cutOver } from '../../src/replay/cutover';
import { buildGeneration } from '../../src/replay/build/generation-build';
import { diffGenerations } from '../../src/replay/generation-diff';
import { buildLease, replayStatus } from '../../src/replay/replay-status';
import type { ReplayStatus } from '../../src/replay/replay-status';
import { planReplay } from '../../src/replay/replay-plan';
import { abortReplay, ReplayRefusedError, retireGeneration, startReplay } from '../../src/replay/replays';
import { simulateWorkload } from '../../src/simulator/workload';
import { dumpGeneration } from '../support/projection';
import { eventually } from '../support/eventually';
import { inLogOrder } from '../support/log-order';

import { AS_OF, createReplayWorld, GATE, OPERATOR, WORKLOAD } from './replay-world';
import type { ReplayWorld } from './replay-world';

describe('replays', () => {
  let fixture: ReplayWorld['fixture'];
  let context: ReplayWorld['context'];
  let stricter: number;
  let build: ReplayWorld['build'];

  beforeEach(async () => {
    ({ fixture, context, stricter, build } = await createReplayWorld());
  });
  afterEach(() => fixture.close());

  test('the plan tells exactly what the diff after the rebuild says, from facts and from the log', async () => {
    const plan = await planReplay(context, { policyVersion: stricter }, AS_OF);
    expect(plan.changed).toBeGreaterThan(0);
    expect(plan.madeBy).toBe('facts');
    for (const full of [false, true]) {
      const built = await build(await startReplay(context, { policyVersion: stricter, full }, OPERATOR));
      expect(built).toMatchObject({ state: 'ready', madeBy: full ? 'full' : 'facts' });
      const live = (await liveGeneration(fixture.pool))!;
      const { matrix, samples, runs, changed } = await diffGenerations(fixture.pool, live, built, AS_OF);
      expect({ matrix, runs, changed }).toEqual({
        matrix: plan.matrix,
        runs: plan.runs,
        changed: plan.changed,
      });
      expect(samples.map(({ from, to }) => [from, to])).toEqual(
        expect.arrayContaining([
          ['none', 'active_stale_attention'],
          ['none', 'terminal_follow_up'],
          ['terminal_follow_up', 'none'],
        ]),
      );
      await abortReplay(context, built.id, OPERATOR);
    }
  });

  /** Events that cannot be read, of a run and of none: parked wherever the log is projected. */
  async function park(): Promise<void> {
    const { rows } = await fixture.pool.query<{ run_id: string; version: number }>(
      `select run_id, (facts->>'version')::int as version from ${fixture.generation.schema}.run_facts where active
       order by run_id limit 1`,
    );
    const { run_id, version } = rows[0]!;
    await fixture.writeRaw(run_id, version, 'OperationRunProgressed', { occurredAt: 42 });
    await fixture.writeRaw(run_id, version + 1, 'OperationRunProgressed', { occurredAt: AS_OF });
    await fixture.writeRaw('never-queued', 0, 'OperationRunStarted', { occurredAt: AS_OF });
    await fixture.catchUp();
  }

  test('a rebuild from facts equals one from the log, row for row; and one with the same rules equals the live one', async () => {
    await park();
    const fromFacts = await build(await startReplay(context, { policyVersion: stricter }, OPERATOR));
    const rows = await dumpGeneration(fixture.pool, fromFacts.schema);
    expect(rows.parked_events).toHaveLength(3);
    await abortReplay(context, fromFacts.id, OPERATOR);
    const fromLog = await build(
      await startReplay(context, { policyVersion: stricter, full: true }, OPERATOR),
    );
    expect(await dumpGeneration(fixture.pool, fromLog.schema)).toEqual(rows);
    expect(fromLog.checkpoint).toEqual(fromFacts.checkpoint);
    await abortReplay(context, fromLog.id, OPERATOR);
    const same = await build(await startReplay(context, { full: true }, OPERATOR));
    const live = await dumpGeneration(fixture.pool, fixture.generation.schema);
    expect(await dumpGeneration(fixture.pool, same.schema)).toEqual(live);
    await abortReplay(context, same.id, OPERATOR);
    const { id, schema } = await startReplay(context, { full: true }, OPERATOR);
    const logOrder = { ...fixture.options, store: inLogOrder(fixture.store) };
    await buildGeneration(id, logOrder, new AbortController().signal);
    expect(await dumpGeneration(fixture.pool, schema)).toEqual(live);
  });

  const inStreamOrder = (store: EventStore): EventStore => store;

  test.each([
    ['stream after stream', inStreamOrder],
    ['in log order', inLogOrder],
  ])('a rebuild %s that was stopped in any phase goes on and ends the same', async (_, order) => {
    const { pool, store } = fixture;
    const options = { ...fixture.options, store: order(store) };
    const loads = options.store.readByStream ? [] : ['loading'];
    await park();
    const request = { policyVersion: stricter, full: true };
    const generation = await startReplay(context, request, OPERATOR);
    const judge = await judgeFor(pool, generation);
    const now = async () => (await generationById(pool, generation.id))!;
    const later = [...simulateWorkload({ ...WORKLOAD, seed: 12, runs: 20, idPrefix: 'later-' })];
    for (const phase of ['folding', ...loads, 'indexing', 'following']) {
      // Something to catch up with, when all else is done.
      if (phase === 'following') await fixture.write(later);
      const { events: all } = await fixture.store.pending(START, 1_000_000);
      const halting = new AbortController();
      let steps = 0;
      const onStep = async () => {
        if ((await now()).phase === phase && ++steps === 2) halting.abort();
      };
      const small = { eventsPerPage: 60, runsPerWrite: 40, runsPerPage: 60, batchSize: 20 };
      const onBatch = () => void (phase === 'following' && ++steps === 2 && halting.abort());
      await buildGeneration(generation.id, { ...options, ...small, judge, onStep, onBatch }, halting.signal);
      expect(halting.signal.aborted).toBe(true);
      const stopped = await now();
      expect(stopped).toMatchObject({ state: 'building', phase });
      // In the middle: what was done is kept, and not all of it was done.
      expect(stopped.eventsApplied).toBeGreaterThan(0);
      if (phase === 'folding' || phase === 'following') expect(stopped.eventsApplied).toBeLessThan(all);
    }
    const rows = await dumpGeneration(pool, (await build(generation)).schema);
    await abortReplay(context, generation.id, OPERATOR);
    const whole = await build(await startReplay(context, request, OPERATOR));
    expect(await dumpGeneration(pool, whole.schema)).toEqual(rows);
  });

  test.each([
    ['stream after stream', inStreamOrder],
    ['in log order', inLogOrder],
  ])('a rebuild %s comes to an end while events are appended as fast as it reads', async (_, order) => {
    const { store: log } = fixture;
    const { readByStream } = log;
    const later = simulateWorkload({ ...WORKLOAD, seed: 12, idPrefix: 'later-' });
    const append = async () => {
      const next = later.next();
      if (next.done) throw new Error('it read until nothing more was appended');
      await fixture.write([next.value]);
    };
    const store = order({
      ...fixture.store,
      readAll: async (...args) => append().then(() => log.readAll(...args)),
      ...(readByStream && { readByStream: async (...args) => append().then(() => readByStream(...args)) }),
    });
    const { id } = await startReplay(context, { full: true }, OPERATOR);
    const options = { ...fixture.options, store, eventsPerPage: 60 };
    await buildGeneration(id, options, new AbortController().signal);
    expect((await generationById(fixture.pool, id))!.state).toBe('ready');
  });

  test('what one of two generations has not read yet is no difference, and keeps none from going live', async () => {
    const live = fixture.generation;
    const next = await build(await startReplay(context, { full: true }, OPERATOR));
    const later = [...simulateWorkload({ ...WORKLOAD, seed: 12, runs: 5, idPrefix: 'later-' })];
    const open = await fixture.pool.query<{ run_id: string }>(
      `select run_id from ${live.schema}.run_facts where active order by run_id limit 1`,
    );
    await fixture.write([
      ...later,
      { runId: open.rows[0]!.run_id, command: { kind: 'cancel', at: AS_OF, reason: null } },
    ]);
    const total = (await diffGenerations(fixture.pool, live, next, AS_OF)).runs;
    await fixture.catchUp();
    for (const [before, after] of [
      [live, next],
      [next, live],
    ] as const) {
      const { matrix, runs, changed } = await diffGenerations(fixture.pool, before, after, AS_OF);
      expect(changed).toBe(0);
      expect(matrix.filter(({ from, to }) => from === 'absent' || to === 'absent')).toEqual([]);
      expect(runs).toBe(total - 1);
    }
    expect((await checkCutover(context, next.id, GATE, AS_OF)).objections).toEqual([]);
  });

  test('the live generation stood still while a replay was started or aborted', async () => {
    const { pool } = fixture;
    const batch = await pool.connect();
    try {
      // A batch under way holds the row of its generation until it is committed; whoever wants it meanwhile waits, and the
      // next batch behind him.
      await batch.query(`begin; update opstruth.generations set epoch = epoch where state = 'live'`);
      const { id } = await startReplay(context, { full: true }, OPERATOR);
      await abortReplay(context, id, OPERATOR);
      expect((await generationById(pool, id))!.state).toBe('failed');
    } finally {
      await batch.query('rollback');
      batch.release();
    }
  });

  test('the time in which nobody built after a kill slows down neither the rate nor the next estimate', async () => {
    const { pool } = fixture;
    const { id } = await startReplay(context, { full: true }, OPERATOR);
    const killedThenBuilt = async (onStep: () => void | Promise<void>, halting: AbortController) => {
      const options = { ...fixture.options, eventsPerPage: 50, runsPerWrite: 20, onStep };
      await buildGeneration(id, options, halting.signal);
      // An hour goes by.
      await pool.query(
        `update opstruth.generations set started_at = started_at - interval '1 h',
           phase_started_at = phase_started_at - interval '1 h', checkpoint_at = checkpoint_at - interval '1 h'
         where id = $1 and state = 'building'`,
        [id],
      );
    };
    const halting = new AbortController();
    await killedThenBuilt(() => halting.abort(), halting);
    const before = (await replayStatus(pool, id))!;
    expect(before.done).toBeGreaterThan(0);
    expect(before).toMatchObject({ phase: 'folding', builtBy: null, ratePerSecond: null, etaSeconds: null });

    await createLease(pool, buildLease(id), 'a builder', 60).hold();
    // A builder that has done nothing yet has no rate of nothing.
    await pool.query(`update opstruth.generations set phase_done_before = events_applied where id = $1`, [
      id,
    ]);
    expect(await replayStatus(pool, id)).toMatchObject({ builtBy: 'a builder', ratePerSecond: null });
    const looks: ReplayStatus[] = [];
    const look = async () => void looks.push((await replayStatus(pool, id))!);
    await killedThenBuilt(look, new AbortController());
    const { done, ratePerSecond, etaSeconds, builtBy } = looks[0]!;
    expect(builtBy).toBe('a builder');
    expect(done).toBeGreaterThan(before.done);
    expect(ratePerSecond!).toBeGreaterThan((done - before.done) / 60);
    expect(etaSeconds!).toBeLessThan(600);
    const ready = (await replayStatus(pool, id))!;
    expect(ready.state).toBe('ready');
    expect(ready.ratePerSecond!).toBeGreaterThan(ready.total / 60);
    await abortReplay(context, id, OPERATOR);
    const other = {
      ...context,
      surfaces: fixture.options.surfaces.filter(({ name }) => name !== 'notifications'),
    };
    expect((await planReplay(other, {}, AS_OF)).estimatedSeconds).toBeLessThan(60);
  });

  test('a cutover that changes too much or loses follow-ups is refused with its objections, and forced only with a reason', async () => {
    const next = await build(await startReplay(context, { policyVersion: stricter }, OPERATOR));
    const check = await checkCutover(context, next.id, GATE, AS_OF);
    expect(check.objections).toEqual([
      expect.stringMatching(/change class, more than 5 %/),
      expect.stringMatching(/go from terminal_follow_up to none, which is forbidden/),
    ]);
    const request = { gate: GATE, force: false, asOf: AS_OF };
    await expect(cutOver(context, next.id, request, OPERATOR)).rejects.toMatchObject({
      code: 'cutover_refused',
    });
    for (const reason of [null, '', ' \n\t'])
      await expect(
        cutOver(context, next.id, { ...request, force: true }, { actor: 'ops', reason }),
      ).rejects.toMatchObject({ code: 'reason_required' });
    await expect(
      cutOver(context, next.id, { ...request, force: true }, { actor: 'ops', reason: 'x'.repeat(501) }),
    ).rejects.toMatchObject({
      code: 'unprocessable',
      message: expect.stringContaining('at most 500') as string,
    });
    expect((await liveGeneration(fixture.pool))!.id).toBe(fixture.generation.id);
    await cutOver(
      context,
      next.id,
      { ...request, force: true },
      { actor: 'ops', reason: '  agreed with the team\n' },
    );
    expect((await liveGeneration(fixture.pool))!.id).toBe(next.id);
    const { rows } = await fixture.pool.query(
      `select actor, action, reason, details->'maxChangePercent' as limit from opstruth.audit_entries
       where action = 'replay.cutover'`,
    );
    expect(rows).toEqual([
      {
        actor: 'ops',
        action: 'replay.cutover',
        reason: 'agreed with the team',
        limit: GATE.maxChangePercent,
      },
    ]);
  });

  test('objections and totals spoke of 1 runs', async () => {
    const next = await build(await startReplay(context, {}, OPERATOR));
    await fixture.pool.query(
      `delete from ${next.schema}.run_facts where run_id = (
         select run_id from ${next.schema}.run_facts where problem_class = 'none' and stale_at is null limit 1)`,
    );
    const gate = { ...GATE, maxChangePercent: 0 };
    const { objections, comparison } = await checkCutover(context, next.id, gate, AS_OF);
    expect(objections).toEqual([
      expect.stringMatching(/^1 run \(0\.\d\d %\) changes class, more than 0 %$/),
      '1 run goes from none to absent, which is forbidden',
    ]);
    expect(comparisonLines(comparison)[0]).toMatch(/^1 of \d+ runs changes class \(0\.\d\d %\)$/);
  });

  test('a second replay is refused while one is under way, and every step checks the state', async () => {
    const first = await startReplay(context, { policyVersion: stricter }, OPERATOR);
    await expect(startReplay(context, {}, OPERATOR)).rejects.toMatchObject({ code: 'replay_under_way' });
    await expect(checkCutover(context, first.id, GATE, AS_OF)).rejects.toMatchObject({ code: 'wrong_state' });
    await expect(retireGeneration(context, fixture.generation.id, OPERATOR)).rejects.toThrow(
      ReplayRefusedError,
    );
    await expect(abortReplay(context, 999, OPERATOR)).rejects.toMatchObject({ code: 'not_found' });
    await expect(startReplay(context, {}, OPERATOR)).rejects.toThrow(/: wait for it or abort it first$/);
    await build(first);
    await expect(startReplay(context, {}, OPERATOR)).rejects.toThrow(/: cut it over or abort it first$/);
    await abortReplay(context, first.id, OPERATOR);
    await expect(startReplay(context, { policyVersion: 999 }, OPERATOR)).rejects.toThrow(
      'no policy version 999',
    );
  });

  test('a stream that parks in the new generation and not in the live one blocks the cutover', async () => {
    const next = await build(await startReplay(context, {}, OPERATOR));
    await fixture.pool.query(
      `insert into ${next.schema}.parked_events (stream_id, revision, event_type, commit, prepare, cause)
       values ('operation_run-x', 1, 'OperationRunStarted', 1, 1, 'planted')`,
    );
    const { objections } = await checkCutover(context, next.id, GATE, AS_OF);
    expect(objections).toEqual([
      '1 stream is parked in the new generation and not in the live one, first operation_run-x at revision 1: planted',
    ]);
  });

  test('a version with other tables builds its generation beside the live one and cuts over while the old one serves', async () => {
    const surfaces = fixture.options.surfaces.filter(({ name }) => name !== 'notifications');
    const newer = { ...context, surfaces };
    const generation = await startReplay(newer, {}, OPERATOR);
    expect(generation.madeBy).toBe('full');
    const { pool, options } = fixture;
    await buildGeneration(generation.id, { ...options, surfaces }, new AbortController().signal);

    // The old version goes on; the new one has no projector yet.
    await fixture.write([...simulateWorkload({ ...WORKLOAD, seed: 12, runs: 20, idPrefix: 'later-' })]);
    await fixture.catchUp();
    const health = createProjectorHealth();
    const stopping = new AbortController();
    const old = runProjectorRole(
      {
        ...options,
        lease: createLease(pool, 'projector', 'old', 5),
        leaseTtlSeconds: 5,
        lookEveryMs: 10,
        judgeFor: (one) => judgeFor(pool, one),
        log: { info: () => undefined, error: () => undefined },
      },
      health,
      stopping.signal,
    );
    await fixture.write([...simulateWorkload({ ...WORKLOAD, seed: 13, runs: 20, idPrefix: 'last-' })]);
    const tail = await fixture.store.tail();
    await eventually(async () => (await liveGeneration(pool))!.checkpoint.commit === tail.commit);
    const behind = (await generationById(pool, generation.id))!;
    expect(behind.checkpoint.commit).toBeLessThan(tail.commit);
    expect(health.errors.size).toBe(0);

    // Nor does the log stand still for the cutover: there is more as soon as the old version has projected what there was.
    const appending = new AbortController();
    const isProjected = async () => {
      const { checkpoint } = (await generationById(pool, fixture.generation.id))!;
      return appending.signal.aborted || comparePositions(checkpoint, await fixture.store.tail()) >= 0;
    };
    const appender = (async () => {
      for (let seed = 14; !appending.signal.aborted; seed++) {
        await fixture.write([...simulateWorkload({ ...WORKLOAD, seed, runs: 2, idPrefix: `busy-${seed}-` })]);
        await eventually(isProjected);
      }
    })();
    const forced = { gate: GATE, force: true, asOf: AS_OF };
    await cutOver(newer, generation.id, forced, { ...OPERATOR, reason: 'new' });
    appending.abort();
    await appender;
    stopping.abort();
    await old;
    const live = (await liveGeneration(pool))!;
    expect(live.id).toBe(generation.id);
    expect(live.checkpoint.commit).toBeGreaterThan(tail.commit);
    // The old version, should it start again, is told what to do.
    const wanted = { classifierVersion: 1, policyVersion: 1, logIdentity: live.logIdentity };
    await expect(ensureLiveGeneration(pool, { ...wanted, surfaces: options.surfaces })).rejects.toThrow(
      /another version of opstruth.*replay start/s,
    );
    await ensureLiveGeneration(pool, { ...wanted, surfaces: options.surfaces, anySurfaces: true });
  });
});
