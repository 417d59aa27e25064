import { parsePolicy } from '../../src/classifier/policy';
import type { Judge, ProblemClass } from '../../src/domain/classification';
import type { Surface } from '../../src/projector/surface';
import { generationById } from '../../src/projector/generations';
import type { Generation } from '../../src/projector/generations';
import { judgeFor } from '../../src/projector/live-classification';
import { auditSurfaces } from '../../src/audit/audit-surfaces';
import { recordAuditResult } from '../../src/audit/audit-results';
import { savePolicy } from '../../src/projector/policies';
import { cutOver, rollBack } from '../../src/replay/cutover';
import { diffGenerations } from '../../src/replay/generation-diff';
import { ReplayEndedError } from '../../src/replay/build/building';
import { buildGeneration } from '../../src/replay/build/generation-build';
import type { BuildOptions } from '../../src/replay/build/generation-build';
import { planReplay } from '../../src/replay/replay-plan';
import { previewEnding } from '../../src/replay/replay-requests';
import { abortReplay, retireGeneration, startReplay } from '../../src/replay/replays';
import { simulateWorkload } from '../../src/simulator/workload';
import { eventually } from '../support/eventually';
import { dumpGeneration, TEST_POLICY } from '../support/projection';
import { queueCommand } from '../support/queue-command';
import { unableToShow } from '../support/unable-to-show';
import { AS_OF, createReplayWorld, GATE, OPERATOR, WORKLOAD } from './replay-world';
import type { ReplayWorld } from './replay-world';

/** So small that a table of the fixture is copied in several transactions. */
const SMALL_STEPS = { blocksPerStep: 12, runsPerPage: 60 };

const NOTHING_TOLD = { summaryCounts: null, failureSummary: [], reasonCode: null, reason: null };

describe('a replay from run facts', () => {
  let fixture: ReplayWorld['fixture'];
  let context: ReplayWorld['context'];
  let stricter: number;
  let build: ReplayWorld['build'];

  beforeEach(async () => {
    ({ fixture, context, stricter, build } = await createReplayWorld());
  });
  afterEach(() => fixture.close());

  async function buildInSteps(
    generation: Generation,
    options: Partial<BuildOptions> = {},
    signal = new AbortController().signal,
  ): Promise<Generation> {
    const judge = await judgeFor(fixture.pool, generation);
    await buildGeneration(generation.id, { ...fixture.options, judge, ...SMALL_STEPS, ...options }, signal);
    return (await generationById(fixture.pool, generation.id))!;
  }

  /** Asked after by the policy in force, and not by the stricter one. */
  async function aPartialSuccess(): Promise<string> {
    const { rows } = await fixture.pool.query<{ run_id: string }>(
      `select run_id from ${fixture.generation.schema}.run_facts where facts->>'outcome' = 'partially_succeeded' limit 1`,
    );
    return rows[0]!.run_id;
  }

  async function rowsOf(request: Parameters<typeof startReplay>[1], surfaces = fixture.options.surfaces) {
    const built = await startReplay(context, request, OPERATOR);
    await buildInSteps(built, { surfaces });
    const rows = await dumpGeneration(fixture.pool, built.schema);
    await abortReplay(context, built.id, OPERATOR);
    return rows;
  }

  /** One class of one run is what they cannot show. */
  function unableToShowAs(problemClass: ProblemClass, runId: string): Surface[] {
    return unableToShow(
      fixture.options.surfaces,
      ({ facts, timeline }) => facts.runId === runId && timeline.before.problemClass === problemClass,
    );
  }

  test('stopped in any phase it goes on, judges no run twice and ends as one from the log', async () => {
    const { id, workTotal } = await startReplay(context, { policyVersion: stricter }, OPERATOR);
    const phases: string[] = [];
    let generation = (await generationById(fixture.pool, id))!;
    expect(generation.madeBy).toBe('facts');
    // Loading begins anew each time, so that each sitting gets one step further; judging does not.
    for (let steps = 1; generation.state === 'building'; steps++) {
      const halting = new AbortController();
      let done = 0;
      const enough = generation.phase === 'judging' ? 1 : steps;
      const onStep = () => void (++done >= enough && halting.abort());
      generation = await buildInSteps(generation, { onStep }, halting.signal);
      if (generation.state === 'building') phases.push(generation.phase);
      expect(steps).toBeLessThan(200);
    }
    expect([...new Set(phases)]).toEqual(['loading', 'indexing', 'judging']);
    expect(phases.filter((phase) => phase === 'judging').length).toBeGreaterThan(1);
    expect(generation).toMatchObject({ state: 'ready', workDone: workTotal });
    const rows = await dumpGeneration(fixture.pool, generation.schema);
    await abortReplay(context, id, OPERATOR);
    expect(rows).toEqual(await rowsOf({ policyVersion: stricter, full: true }));
  });

  test('by other limits alone ended runs are neither read nor judged; the plan tells the diff, and the rows are those of the log', async () => {
    const policy = parsePolicy({
      ...TEST_POLICY,
      defaults: { ...TEST_POLICY.defaults, runningStaleAfterSeconds: 90, queuedStaleAfterSeconds: 77 },
    });
    const policyVersion = await savePolicy(fixture.pool, policy, 'test', null);
    const { madeBy, from: _from, to: _to, ...plan } = await planReplay(context, { policyVersion }, AS_OF);
    expect(madeBy).toBe('facts');
    expect(plan.changed).toBeGreaterThan(0);
    const started = await startReplay(context, { policyVersion }, OPERATOR);
    const judged: string[] = [];
    const judgeOf = await judgeFor(fixture.pool, started);
    const judge: Judge = (facts) => {
      judged.push(facts.status);
      return judgeOf(facts);
    };
    let generation = started;
    let sittings = 0;
    for (; generation.state === 'building'; sittings++) {
      const halting = new AbortController();
      // Each sitting gets one step of judging further.
      const onStep = async () => {
        if ((await generationById(fixture.pool, started.id))!.phase === 'judging') halting.abort();
      };
      generation = await buildInSteps(generation, { judge, onStep, runsPerPage: 20 }, halting.signal);
      expect(sittings).toBeLessThan(50);
    }
    expect(sittings).toBeGreaterThan(2);
    expect(generation).toMatchObject({ state: 'ready', workDone: started.workTotal });
    expect(judged.length).toBeGreaterThan(20);
    expect(new Set(judged)).toEqual(new Set(['queued', 'running']));
    const diff = await diffGenerations(fixture.pool, fixture.generation, generation, AS_OF);
    expect(plan).toMatchObject(diff);
    const rows = await dumpGeneration(fixture.pool, generation.schema);
    await abortReplay(context, generation.id, OPERATOR);
    expect(rows).toEqual(await rowsOf({ policyVersion, full: true }));
  });

  test.each([{ retryable: false }, { reconcileAfterSeconds: 5_000 }])(
    'by rules that move no class, %j, the rows are those of the log all the same',
    async (rule) => {
      const policy = parsePolicy({ ...TEST_POLICY, defaults: { ...TEST_POLICY.defaults, ...rule } });
      const policyVersion = await savePolicy(fixture.pool, policy, 'test', null);
      expect(await rowsOf({ policyVersion })).toEqual(await rowsOf({ policyVersion, full: true }));
    },
  );

  test('what is projected while tables are copied is in the new ones once', async () => {
    const later = [...simulateWorkload({ ...WORKLOAD, seed: 12, runs: 80, idPrefix: 'later-' })];
    const generation = await startReplay(context, { policyVersion: stricter }, OPERATOR);
    let projected = Promise.resolve();
    const projectMore = async () => {
      await fixture.write(later.splice(0, 60));
      await fixture.catchUp();
    };
    await buildInSteps(generation, { onStep: () => (projected = projected.then(projectMore)) });
    expect(later).toEqual([]);
    const rows = await dumpGeneration(fixture.pool, generation.schema);
    await abortReplay(context, generation.id, OPERATOR);
    expect(rows).toEqual(await rowsOf({ policyVersion: stricter, full: true }));
  });

  test('a run that no surface can show as it is judged now is parked and gone from every table', async () => {
    const { pool } = fixture;
    const runId = await aPartialSuccess();
    const surfaces = unableToShowAs('none', runId);
    const request = { policyVersion: stricter };
    const fromFacts = await rowsOf(request, surfaces);
    expect(fromFacts).toEqual(await rowsOf({ ...request, full: true }, surfaces));
    const parked = await startReplay(context, request, OPERATOR);
    await buildInSteps(parked, { surfaces });
    const { rows } = await pool.query(
      `select stream_id, cause from ${parked.schema}.parked_events where cause is not null`,
    );
    expect(rows).toEqual([{ stream_id: `operation_run-${runId}`, cause: 'Error: cannot show this' }]);
  });

  test.each([{ full: true }, { full: false }])(
    'of a run that cannot be shown the place kept its position, and an audit found that wrong: %j',
    async ({ full }) => {
      const queued = queueCommand(AS_OF, { workspaceId: 'alone', tenantId: null });
      for (const runId of ['shown earlier', 'shown']) await fixture.write([{ runId, command: queued }]);
      const runId = 'not shown';
      await fixture.write([
        { runId, command: queued },
        { runId, command: { kind: 'complete', at: AS_OF, outcome: 'partially_succeeded', ...NOTHING_TOLD } },
      ]);
      await fixture.catchUp();
      const surfaces = unableToShowAs('none', runId);
      const { id } = await startReplay(context, { policyVersion: stricter, full }, OPERATOR);
      const generation = await buildInSteps((await generationById(fixture.pool, id))!, { surfaces });
      expect(generation.madeBy).toBe(full ? 'full' : 'facts');
      const report = await auditSurfaces({ ...fixture.options, surfaces }, { generation, asOf: AS_OF });
      expect(report.found).toEqual([]);
    },
  );

  test('a run that no surface can show as it was judged fails the build with what to do, for its rows cannot be taken back', async () => {
    const runId = await aPartialSuccess();
    const surfaces = unableToShowAs('terminal_follow_up', runId);
    const generation = await startReplay(context, { policyVersion: stricter }, OPERATOR);
    await expect(buildInSteps(generation, { surfaces })).rejects.toThrow(
      `run ${runId} cannot be shown as the copied generation judges it (cannot show this): ` +
        'abort this replay and start one from the log, with --full',
    );
  });

  test('by the rules in force it would be a copy of rows as they are: the log is read', async () => {
    const { schema } = fixture.generation;
    await fixture.pool.query(`update ${schema}.runs set type = 'planted'`);
    expect(await planReplay(context, {}, AS_OF)).toMatchObject({ madeBy: 'full', runsToRead: 0 });
    const built = await build(await startReplay(context, {}, OPERATOR));
    expect(built.madeBy).toBe('full');
    const { rows } = await fixture.pool.query(
      `select count(*)::int as wrong from ${built.schema}.runs where type = 'planted'`,
    );
    expect(rows).toEqual([{ wrong: 0 }]);
  });

  test('rows that an audit has found wrong are not copied: the log is read', async () => {
    const { pool, generation, options } = fixture;
    await pool.query(`update ${generation.schema}.runs set type = 'planted'`);
    const request = { policyVersion: stricter };
    expect((await planReplay(context, request, AS_OF)).madeBy).toBe('facts');
    const report = await auditSurfaces(options, { generation, asOf: AS_OF });
    expect(report.differences).toBeGreaterThan(0);
    await recordAuditResult(pool, report);
    expect((await planReplay(context, request, AS_OF)).madeBy).toBe('full');
    expect((await startReplay(context, request, OPERATOR)).madeBy).toBe('full');
  });

  test('the preview of retiring a generation whose tables are being copied said that it would be retired', async () => {
    const next = await build(await startReplay(context, { policyVersion: stricter }, OPERATOR));
    await cutOver(
      context,
      next.id,
      { gate: GATE, force: true, asOf: AS_OF },
      { actor: 'ops', reason: 'test' },
    );
    const { id } = await startReplay(context, { policyVersion: fixture.generation.policyVersion }, OPERATOR);
    await rollBack(context, OPERATOR);
    for (const told of [
      previewEnding(context, next.id, 'retire'),
      retireGeneration(context, next.id, OPERATOR),
    ])
      await expect(told).rejects.toThrow(
        `cannot retire generation ${next.id}: ${id} is being made from its tables; wait for it or abort it first`,
      );
    await abortReplay(context, id, OPERATOR);
    await retireGeneration(context, next.id, OPERATOR);
  });

  test('a replay whose source was retired while it was being asked for failed for ever', async () => {
    const { pool, generation: first } = fixture;
    const { id: second } = await build(await startReplay(context, { policyVersion: stricter }, OPERATOR));
    const registry = await pool.connect();
    await registry.query(`begin; select pg_advisory_xact_lock(hashtext('opstruth.generations'))`);
    // It has looked which generation is live, and now waits for whoever decides about generations.
    const asked = startReplay(context, { policyVersion: stricter }, OPERATOR);
    await eventually(async () => {
      const { rows } = await pool.query(
        `select from pg_locks where locktype = 'advisory' and not granted and database = (
           select oid from pg_database where datname = current_database())`,
      );
      return rows.length === 1;
    });
    await registry.query(
      `update opstruth.generations set state = 'retired' where id = ${first.id};
       update opstruth.generations set state = 'live' where id = ${second};
       drop schema ${first.schema} cascade; commit`,
    );
    registry.release();
    const started = await asked;
    // By the rules that are in force now: a copy would have rows as they are.
    expect(started).toMatchObject({ madeBy: 'full', policyVersion: stricter });
    expect((await generationById(pool, started.id))!.madeFrom).toBe(second);
    expect((await build(started)).state).toBe('ready');
  });

  test('a session that was cut while tables are copied fails the build, not the process', async () => {
    const generation = await startReplay(context, { policyVersion: stricter }, OPERATOR);
    let cut = false;
    const onStep = async () => {
      if (cut) return;
      cut = true;
      await fixture.pool.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and pid <> pg_backend_pid() and state <> 'active'`,
      );
    };
    // Of those that lay idle the pool tells.
    const told = jest.spyOn(console, 'error').mockImplementation(() => undefined);
    await expect(buildInSteps(generation, { onStep })).rejects.toThrow();
    told.mockRestore();
    expect((await build(generation)).state).toBe('ready');
  });

  test('a builder that lagged behind another does not take the phase back', async () => {
    const generation = await startReplay(context, { policyVersion: stricter }, OPERATOR);
    let raced = false;
    const onStep = async () => {
      if (raced || (await generationById(fixture.pool, generation.id))!.phase !== 'indexing') return;
      raced = true;
      await build(generation);
    };
    await expect(buildInSteps(generation, { onStep })).rejects.toBeInstanceOf(ReplayEndedError);
    expect(await generationById(fixture.pool, generation.id)).toMatchObject({
      state: 'ready',
      phase: 'following',
    });
  });

  test.each([
    ['from facts', false],
    ['from the log', true],
  ])('one %s that an operator ends stops, and its failure says who did', async (_, full) => {
    const generation = await startReplay(context, { policyVersion: stricter, full }, OPERATOR);
    const ending = { actor: 'olga', reason: 'changed my mind' };
    let ended: Promise<boolean> | undefined;
    const onStep = async () => void (await (ended ??= abortReplay(context, generation.id, ending)));
    await expect(buildInSteps(generation, { onStep })).rejects.toBeInstanceOf(ReplayEndedError);
    expect((await generationById(fixture.pool, generation.id))!).toMatchObject({
      state: 'failed',
      failure: 'aborted by olga',
    });
  });
});
