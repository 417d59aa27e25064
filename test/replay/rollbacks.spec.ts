import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Client, DatabaseError } from 'pg';
import { migrationsFolder } from '../../src/db/migrate';
import { catchUp } from '../../src/projector/generation-projector';
import { generationById, liveGeneration } from '../../src/projector/generations';
import { checkCutover, cutOver, previewRollBack, rollBack } from '../../src/replay/cutover';
import { retireGeneration, startReplay } from '../../src/replay/replays';
import { simulateWorkload } from '../../src/simulator/workload';
import { eventually } from '../support/eventually';
import { AS_OF, createReplayWorld, GATE, OPERATOR, WORKLOAD } from './replay-world';
import type { ReplayWorld } from './replay-world';

/** Tells when a statement of this text is sent, on whichever connection. */
function onStatement(text: RegExp, tell: () => void): void {
  // oxlint-disable-next-line typescript/unbound-method -- called on the connection below
  const send = Client.prototype.query as (...given: unknown[]) => unknown;
  jest.spyOn(Client.prototype, 'query').mockImplementation(function (this: Client, ...given: unknown[]) {
    if (typeof given[0] === 'string' && text.test(given[0])) tell();
    return send.apply(this, given);
  });
}

describe('rollbacks', () => {
  let fixture: ReplayWorld['fixture'];
  let context: ReplayWorld['context'];
  let build: ReplayWorld['build'];

  beforeEach(async () => {
    ({ fixture, context, build } = await createReplayWorld());
  });
  afterEach(async () => {
    jest.restoreAllMocks();
    await fixture.close();
  });

  /** Builds a generation with the same rules and makes it live. */
  async function goTo(): Promise<number> {
    const { id } = await build(await startReplay(context, {}, OPERATOR));
    await cutOver(context, id, { gate: GATE, force: false, asOf: AS_OF }, OPERATOR);
    return id;
  }

  test('a rollback needs the standby level with the live one, flips back, and leaves the other as standby', async () => {
    const next = await build(await startReplay(context, {}, OPERATOR));
    await cutOver(context, next.id, { gate: GATE, force: false, asOf: AS_OF }, OPERATOR);
    await fixture.write([...simulateWorkload({ ...WORKLOAD, seed: 12, runs: 5, idPrefix: 'later-' })]);
    await catchUp(next.id, fixture.options);
    await catchUp(fixture.generation.id, fixture.options);
    expect(await rollBack(context, OPERATOR)).toEqual({ from: next.id, to: fixture.generation.id });
    expect((await liveGeneration(fixture.pool))!.id).toBe(fixture.generation.id);
    expect((await generationById(fixture.pool, next.id))!.state).toBe('standby');
    await retireGeneration(context, next.id, OPERATOR);
    expect((await generationById(fixture.pool, next.id))!.state).toBe('retired');
    await expect(rollBack(context, OPERATOR)).rejects.toThrow('no standby');
  });

  test('a switch holds the live generation until the other is level, which beside a busy log it never is by itself', async () => {
    const live = await goTo();
    const back = fixture.generation.id;
    await fixture.write([...simulateWorkload({ ...WORKLOAD, seed: 12, runs: 5, idPrefix: 'later-' })]);
    await catchUp(live, fixture.options);
    // From when it asks for the lock time stands still, so that it is the other's coming that ends the hold.
    let askedAt: number | null = null;
    const time = performance.now.bind(performance);
    jest.spyOn(performance, 'now').mockImplementation(() => askedAt ?? time());
    onStatement(/^select from opstruth.generations where id = \$1 for update$/, () => (askedAt ??= time()));
    const switched = rollBack(context, OPERATOR);
    const isLocked = () =>
      fixture.pool
        .query('select from opstruth.generations where id = $1 for update nowait', [live])
        .then(() => false)
        .catch((error: unknown) => error instanceof DatabaseError && error.code === '55P03');
    await eventually(isLocked);
    // Not for a moment now and then, but for as long as the other is behind.
    for (let look = 0; look < 50; look++) expect(await isLocked()).toBe(true);
    await catchUp(back, fixture.options);
    expect(await switched).toEqual({ from: live, to: back });
    expect((await liveGeneration(fixture.pool))!.id).toBe(back);
  });

  test('a rollback of a rollback goes forward again, however many older standbys there are', async () => {
    const first = fixture.generation.id;
    const second = await goTo();
    const third = await goTo();
    expect(await rollBack(context, OPERATOR)).toEqual({ from: third, to: second });
    // The first is a standby too, and what the second was made from.
    expect(await rollBack(context, OPERATOR)).toEqual({ from: second, to: third });
    expect(await rollBack(context, OPERATOR)).toEqual({ from: third, to: second });
    // A cutover from there: the newest standby is not the one that was live before it.
    const fourth = await goTo();
    expect(await rollBack(context, OPERATOR)).toEqual({ from: fourth, to: second });
    expect(await rollBack(context, OPERATOR)).toEqual({ from: second, to: fourth });
    await retireGeneration(context, second, OPERATOR);
    expect(await rollBack(context, OPERATOR)).toEqual({ from: fourth, to: third });
    expect((await generationById(fixture.pool, first))!.state).toBe('standby');
  });

  test('of two operators who roll back at once one is refused, so that they do not cancel each other', async () => {
    const first = fixture.generation.id;
    const second = await goTo();
    // Both have looked when the registry is free again: the second finds what the first did.
    const client = await fixture.pool.connect();
    await client.query(`begin; select pg_advisory_xact_lock(hashtext('opstruth.generations'))`);
    const outcomes = [rollBack(context, OPERATOR), rollBack(context, OPERATOR)].map((one) =>
      one.catch((error: Error) => error),
    );
    await eventually(async () => {
      const { rows } = await client.query(
        `select from pg_locks where locktype = 'advisory' and not granted and database = (
           select oid from pg_database where datname = current_database())`,
      );
      return rows.length === 2;
    });
    await client.query('commit');
    client.release();
    const told = await Promise.all(outcomes);
    expect(told).toContainEqual({ from: second, to: first });
    expect(told).toContainEqual(
      expect.objectContaining({
        code: 'wrong_state',
        message: `generation ${second} is no longer live: ${first} is`,
      }),
    );
    expect((await liveGeneration(fixture.pool))!.id).toBe(first);
    // And one who comes later, with what a preview said before.
    await expect(rollBack(context, OPERATOR, second)).rejects.toThrow('is no longer live');
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
    expect(await rollBack(context, OPERATOR)).toEqual({ from: second, to: first });
  });

  test('a database of an older version knows from its audit entries which generation was live last', async () => {
    const { pool } = fixture;
    const second = await goTo();
    const third = await goTo();
    await rollBack(context, OPERATOR);
    await pool.query('alter table opstruth.generations drop column standby_number');
    await pool.query(await readFile(join(migrationsFolder(), '0006_last_live.sql'), 'utf8'));
    expect(await rollBack(context, OPERATOR)).toEqual({ from: second, to: third });
  });
});
