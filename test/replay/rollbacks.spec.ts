import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Client } from 'pg';
import { parsePolicy } from '../../src/classifier/policy';
import { openPool } from '../../src/db/database';
import { migrationsFolder } from '../../src/db/migrate';
import type { EventStore } from '../../src/event-store/event-store';
import { recordAuditResult } from '../../src/audit/audit-results';
import { catchUp } from '../../src/projector/generation-projector';
import { generationById, liveGeneration } from '../../src/projector/generations';
import { listAuditEntries } from '../../src/replay/audit-entries';
import { checkCutover, cutOver, previewRollBack, rollBack } from '../../src/replay/cutover';
import { savePolicy } from '../../src/projector/policies';
import { abortReplay, retireGeneration, startReplay } from '../../src/replay/replays';
import { simulateWorkload } from '../../src/simulator/workload';
import { dumpGeneration, TEST_POLICY } from '../support/projection';
import { AS_OF, createReplayWorld, GATE, OPERATOR, WORKLOAD } from './replay-world';
import type { ReplayWorld } from './replay-world';

type Send = (...given: unknown[]) => unknown;

/** Runs `first` before each statement of this text, on whichever connection; beside what was asked for before others. */
function beforeStatement(text: RegExp, first: () => Promise<void>): void {
  // oxlint-disable-next-line typescript/unbound-method -- called on the connection below
  const query = Client.prototype.query as Send;
  const send: Send = jest.isMockFunction(query) ? (query.getMockImplementation() as Send) : query;
  jest.spyOn(Client.prototype, 'query').mockImplementation(function (
    this: Client,
    ...given: unknown[]
  ): unknown {
    const isIt = typeof given[0] === 'string' && text.test(given[0]);
    return isIt ? first().then(() => send.apply(this, given)) : send.apply(this, given);
  });
}

describe('rollbacks', () => {
  let fixture: ReplayWorld['fixture'];
  let context: ReplayWorld['context'];
  let build: ReplayWorld['build'];
  let goTo: ReplayWorld['goTo'];

  beforeEach(async () => {
    ({ fixture, context, build, goTo } = await createReplayWorld());
  });
  afterEach(async () => {
    jest.restoreAllMocks();
    await fixture.close();
  });

  test('a rollback needs the standby level with the live one, flips back, and leaves the other as standby', async () => {
    const next = await build(await startReplay(context, {}, OPERATOR));
    await cutOver(context, next.id, { gate: GATE, force: false, asOf: AS_OF }, OPERATOR);
    await fixture.write([...simulateWorkload({ ...WORKLOAD, seed: 12, runs: 5, idPrefix: 'later-' })]);
    await catchUp(next.id, fixture.options);
    await catchUp(fixture.generation.id, fixture.options);
    expect(await rollBack(context, OPERATOR)).toMatchObject({ from: next.id, to: fixture.generation.id });
    expect((await liveGeneration(fixture.pool))!.id).toBe(fixture.generation.id);
    expect((await generationById(fixture.pool, next.id))!.state).toBe('standby');
    await retireGeneration(context, next.id, OPERATOR);
    expect((await generationById(fixture.pool, next.id))!.state).toBe('retired');
    await expect(rollBack(context, OPERATOR)).rejects.toThrow('no standby');
  });

  test('that an audit has found wrong rows in it speaks against a cutover, and is told of a rollback', async () => {
    const found = async (generation: number) =>
      recordAuditResult(fixture.pool, { generation, runs: 7, differences: 1, found: [] });
    const told = (id: number) => `an audit has found wrong rows in generation ${id}, see \`opstruth status\``;
    const first = fixture.generation.id;
    const next = await build(await startReplay(context, {}, OPERATOR));
    expect((await checkCutover(context, next.id, GATE, AS_OF)).objections).toEqual([]);
    await found(next.id);
    expect((await checkCutover(context, next.id, GATE, AS_OF)).objections).toEqual([told(next.id)]);
    const reasoned = { actor: 'ops', reason: 'the row is known' };
    await cutOver(context, next.id, { gate: GATE, force: true, asOf: AS_OF }, reasoned);
    expect((await previewRollBack(context)).warnings).toEqual([]);
    await found(first);
    expect(await rollBack(context, OPERATOR)).toEqual({ from: next.id, to: first, warnings: [told(first)] });
  });

  test('a copy of a generation with wrong rows went live without a word of them', async () => {
    const policyVersion = await savePolicy(
      fixture.pool,
      parsePolicy({ ...TEST_POLICY, types: { nobodys: { action: 'none' } } }),
      'test',
      null,
    );
    const first = fixture.generation.id;
    const copy = await build(await startReplay(context, { policyVersion }, OPERATOR));
    expect(copy.madeBy).toBe('facts');
    await recordAuditResult(fixture.pool, { generation: first, runs: 7, differences: 1, found: [] });
    const { objections } = await checkCutover(context, copy.id, GATE, AS_OF);
    expect(objections).toEqual([
      `an audit has found wrong rows in generation ${first}, of which ${copy.id} is a copy, see \`opstruth status\``,
    ]);
    // One that was made from the log has rows of its own.
    await abortReplay(context, copy.id, OPERATOR);
    const own = await build(await startReplay(context, { policyVersion, full: true }, OPERATOR));
    expect((await checkCutover(context, own.id, GATE, AS_OF)).objections).toEqual([]);
  });

  test('what an audit found while a cutover waited for the new generation was not looked at', async () => {
    const next = await build(await startReplay(context, {}, OPERATOR));
    await fixture.write([...simulateWorkload({ ...WORKLOAD, seed: 12, runs: 5, idPrefix: 'later-' })]);
    await catchUp(fixture.generation.id, fixture.options);
    const { store } = context;
    // The first that a switch reads of the log is what the new generation lacks.
    const readAll = async (...asked: Parameters<EventStore['readAll']>) => {
      await recordAuditResult(fixture.pool, { generation: next.id, runs: 1, differences: 1, found: [] });
      return store.readAll(...asked);
    };
    const request = { gate: GATE, force: false, asOf: AS_OF };
    const met = [`an audit has found wrong rows in generation ${next.id}, see \`opstruth status\``];
    const beside = { ...context, store: { ...store, readAll } };
    await expect(cutOver(beside, next.id, request, OPERATOR)).rejects.toMatchObject({
      code: 'cutover_refused',
      details: met,
    });
    // Nor was it kept that a cutover was forced over it.
    await fixture.pool.query('delete from opstruth.audit_results');
    await fixture.write([...simulateWorkload({ ...WORKLOAD, seed: 13, runs: 5, idPrefix: 'more-' })]);
    await catchUp(fixture.generation.id, fixture.options);
    const forced = await cutOver(
      beside,
      next.id,
      { ...request, force: true },
      { actor: 'ops', reason: 'known' },
    );
    expect(forced.objections).toEqual(met);
    expect((await listAuditEntries(fixture.pool, 1))[0]).toMatchObject({ details: { forced: met } });
  });

  test('a switch with no connection to spare held the live generation until it was cut off', async () => {
    const live = await goTo();
    const back = fixture.generation.id;
    moveBeforeHold(live);
    let isLooking = false;
    // Whoever follows the other brings it level while the switch looks.
    beforeStatement(/ from opstruth.generations where id = \$1$/, async () => {
      if (isLooking) return;
      isLooking = true;
      await catchUp(back, fixture.options);
      isLooking = false;
    });
    const only = openPool(fixture.databaseUrl, { max: 1, applicationName: 'test' });
    try {
      expect(await rollBack({ ...context, pool: only }, OPERATOR)).toMatchObject({ from: live, to: back });
    } finally {
      await only.end();
    }
  });

  /** A busy log: when a switch begins to hold the live generation, that has got new events and the other has not. */
  function moveBeforeHold(live: number): { readonly holds: () => number } {
    let holds = 0;
    beforeStatement(/^select pg_advisory_xact_lock\(hashtext\('opstruth.generations'\)\)$/, async () => {
      holds += 1;
      const workload = { ...WORKLOAD, seed: 20 + holds, runs: 5, idPrefix: `hold-${holds}-` };
      await fixture.write([...simulateWorkload(workload)]);
      await catchUp(live, fixture.options);
    });
    return { holds: () => holds };
  }

  test('a rollback to a generation that nobody follows was refused beside a busy log', async () => {
    const live = await goTo();
    const back = fixture.generation.id;
    await fixture.write([...simulateWorkload({ ...WORKLOAD, seed: 12, runs: 5, idPrefix: 'later-' })]);
    await catchUp(live, fixture.options);
    const busy = moveBeforeHold(live);
    expect(await rollBack(context, OPERATOR)).toMatchObject({ from: live, to: back });
    expect(busy.holds()).toBe(1);
    const { id, checkpoint } = (await liveGeneration(fixture.pool))!;
    expect(id).toBe(back);
    expect(checkpoint).toEqual((await generationById(fixture.pool, live))!.checkpoint);
  });

  test('a cutover to a generation that nobody follows was refused beside a busy log', async () => {
    const next = await build(await startReplay(context, {}, OPERATOR));
    const busy = moveBeforeHold(fixture.generation.id);
    await cutOver(context, next.id, { gate: GATE, force: false, asOf: AS_OF }, OPERATOR);
    expect(busy.holds()).toBe(1);
    expect((await liveGeneration(fixture.pool))!.id).toBe(next.id);
  });

  test('a switch held the live generation for all that came while it waited for the other', async () => {
    const live = await goTo();
    const back = fixture.generation.id;
    const events = (prefix: string) =>
      simulateWorkload({ ...WORKLOAD, seed: 12, runs: 10, idPrefix: prefix });
    await fixture.write([...events('before-')]);
    await catchUp(live, fixture.options);
    // Each look of the switch finds the other a little further, and at one of them the live generation has moved as well.
    let looks = 0;
    let isLooking = false;
    beforeStatement(/ from opstruth.generations where id = \$1$/, async () => {
      if (isLooking) return;
      isLooking = true;
      looks += 1;
      if (looks === 5) {
        await fixture.write([...events('meanwhile-')]);
        await catchUp(live, fixture.options);
      }
      const { checkpoint } = (await generationById(fixture.pool, back))!;
      const [next] = await fixture.store.readAll(checkpoint, 1);
      if (next) await catchUp(back, { ...fixture.options, batchSize: 5, upTo: next.position });
      isLooking = false;
    });
    const behind: number[] = [];
    beforeStatement(/^select pg_advisory_xact_lock\(hashtext\('opstruth.generations'\)\)$/, async () => {
      isLooking = true;
      const { checkpoint } = (await generationById(fixture.pool, back))!;
      behind.push((await fixture.store.readAll(checkpoint, 1_000)).length);
    });
    expect(await rollBack(context, OPERATOR)).toMatchObject({ from: live, to: back });
    expect(looks).toBeGreaterThan(10);
    expect(behind).toEqual([0]);
  });

  test('a switch and a projector that bring the same generation level do not hinder each other', async () => {
    const live = await goTo();
    const back = fixture.generation.id;
    await fixture.write([...simulateWorkload({ ...WORKLOAD, seed: 12, runs: 5, idPrefix: 'later-' })]);
    await catchUp(live, fixture.options);
    const busy = moveBeforeHold(live);
    const { store } = fixture;
    let read = 0;
    const overtaken: EventStore = {
      ...store,
      async readAll(...given) {
        const events = await store.readAll(...given);
        read += 1;
        // What was read here is written by another before it can be written here.
        await catchUp(back, fixture.options);
        return events;
      },
    };
    expect(await rollBack({ ...context, store: overtaken }, OPERATOR)).toMatchObject({
      from: live,
      to: back,
    });
    expect(read).toBe(2);
    expect(busy.holds()).toBe(1);
    const [one, other] = await Promise.all(
      [live, back].map(async (id) =>
        dumpGeneration(fixture.pool, (await generationById(fixture.pool, id))!.schema),
      ),
    );
    expect(one).toEqual(other);
  });

  test('a rollback of a rollback goes forward again, however many older standbys there are', async () => {
    const first = fixture.generation.id;
    const second = await goTo();
    const third = await goTo();
    expect(await rollBack(context, OPERATOR)).toMatchObject({ from: third, to: second });
    // The first is a standby too, and what the second was made from.
    expect(await rollBack(context, OPERATOR, second)).toMatchObject({ from: second, to: third });
    expect(await rollBack(context, OPERATOR, third)).toMatchObject({ from: third, to: second });
    // A cutover from there: the newest standby is not the one that was live before it.
    const fourth = await goTo();
    expect(await rollBack(context, OPERATOR)).toMatchObject({ from: fourth, to: second });
    expect(await rollBack(context, OPERATOR, second)).toMatchObject({ from: second, to: fourth });
    await retireGeneration(context, second, OPERATOR);
    expect(await rollBack(context, OPERATOR, fourth)).toMatchObject({ from: fourth, to: third });
    expect((await generationById(fixture.pool, first))!.state).toBe('standby');
  });

  test('a generation with the tables of another version went live, and then every read of it failed', async () => {
    const { pool } = fixture;
    const first = fixture.generation.id;
    const makeAnothers = (id: number) =>
      pool.query(`update opstruth.generations set surfaces_digest = 'another' where id = $1`, [id]);
    const told = (action: string, id: number) => ({
      code: 'wrong_state',
      message:
        `cannot ${action} generation ${id}: it has the read tables of another version of opstruth; ` +
        'run this step with the version that made it',
    });
    const second = await goTo();
    await makeAnothers(first);
    const refused = told('roll back to', first);
    await expect(previewRollBack(context)).rejects.toMatchObject(refused);
    await expect(rollBack(context, OPERATOR)).rejects.toMatchObject(refused);
    const next = await startReplay(context, {}, OPERATOR);
    await build(next);
    await makeAnothers(next.id);
    const notOver = told('cut over to', next.id);
    await expect(checkCutover(context, next.id, GATE, AS_OF)).rejects.toMatchObject(notOver);
    const forced = { gate: GATE, force: true, asOf: AS_OF };
    const saying = { ...OPERATOR, reason: 'now' };
    await expect(cutOver(context, next.id, forced, saying)).rejects.toMatchObject(notOver);
    expect((await liveGeneration(pool))!.id).toBe(second);
    // The version that made it goes back to it, whoever's is live.
    await pool.query('update opstruth.generations set surfaces_digest = $2 where id = $1', [
      first,
      fixture.generation.surfacesDigest,
    ]);
    await makeAnothers(second);
    expect(await rollBack(context, OPERATOR)).toMatchObject({ from: second, to: first });
  });

  test('a database of an older version knows from its audit entries which generation was live last', async () => {
    const { pool } = fixture;
    const second = await goTo();
    const third = await goTo();
    await rollBack(context, OPERATOR);
    await pool.query('alter table opstruth.generations drop column standby_number');
    await pool.query(await readFile(join(migrationsFolder(), '0006_last_live.sql'), 'utf8'));
    expect(await rollBack(context, OPERATOR, second)).toMatchObject({ from: second, to: third });
  });
});
