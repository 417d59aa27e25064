import { Client } from 'pg';
import { isUnreachable } from '../../src/db/database';
import { transaction } from '../../src/db/transaction';
import { ensureLiveGeneration, liveGeneration } from '../../src/projector/generations';
import { recordAudit } from '../../src/replay/audit-entries';
import { previewRollBack, rollBack } from '../../src/replay/cutover';
import { eventually } from '../support/eventually';
import { createReplayWorld, OPERATOR } from './replay-world';
import type { ReplayWorld } from './replay-world';

type Send = (...given: unknown[]) => unknown;

describe('several operators', () => {
  let fixture: ReplayWorld['fixture'];
  let context: ReplayWorld['context'];
  let goTo: ReplayWorld['goTo'];

  beforeEach(async () => {
    ({ fixture, context, goTo } = await createReplayWorld());
  });
  afterEach(async () => {
    jest.restoreAllMocks();
    await fixture.close();
  });

  test('what was done was dated back to when its transaction began to wait for others', async () => {
    const done = { actor: 'test', action: 'replay.rollback', generation: 1, reason: null, details: {} };
    const later = await transaction(fixture.pool, async (client) => {
      const { rows } = await client.query<{ at: string }>('select clock_timestamp()::text as at');
      await recordAudit(client, done);
      return rows[0]!.at;
    });
    const { rows } = await fixture.pool.query(
      'select at > $1::timestamptz as later from opstruth.audit_entries order by id desc limit 1',
      [later],
    );
    expect(rows).toEqual([{ later: true }]);
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
    expect(told).toContainEqual({ from: second, to: first, warnings: [] });
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

  test('of two operators who rolled back a moment apart the second went forward to what the first had left', async () => {
    const first = fixture.generation.id;
    const second = await goTo();
    await rollBack(context, { actor: 'olga', reason: null });
    const refused = {
      code: 'wrong_state',
      message: expect.stringMatching(
        `^olga rolled back from generation ${second} to ${first} \\d+ seconds? ago: .* \\(--from ${first}\\)$`,
      ) as string,
    };
    await expect(previewRollBack(context)).rejects.toMatchObject(refused);
    await expect(rollBack(context, OPERATOR)).rejects.toMatchObject(refused);
    expect((await liveGeneration(fixture.pool))!.id).toBe(first);
    await fixture.pool.query(`update opstruth.audit_entries set at = at - interval '11 seconds'`);
    expect(await rollBack(context, OPERATOR)).toMatchObject({ from: first, to: second });
  });

  test('an operator who was paused in the middle of a step held all others and the live generation', async () => {
    const live = await goTo();
    const back = fixture.generation.id;
    let goOn!: () => void;
    let paused!: (limit: unknown) => void;
    const isPaused = new Promise((resolve) => (paused = resolve));
    const goesOn = new Promise<void>((resolve) => (goOn = resolve));
    // oxlint-disable-next-line typescript/unbound-method -- called on the connection below
    const query = Client.prototype.query as Send;
    const spy = jest.spyOn(Client.prototype, 'query').mockImplementation(function (
      this: Client,
      ...given: unknown[]
    ): unknown {
      const run = (...statement: unknown[]) => query.apply(this, statement) as Promise<{ rows: object[] }>;
      if (!String(given[0]).startsWith('insert into opstruth.audit_entries')) return query.apply(this, given);
      spy.mockRestore();
      return run('show idle_in_transaction_session_timeout')
        .then(({ rows }) =>
          run('set local idle_in_transaction_session_timeout = 50').then(() => paused(rows[0])),
        )
        .then(() => goesOn)
        .then(() => run(...given));
    });
    const first = rollBack(context, OPERATOR, live).catch((error: unknown) => error);
    expect(await isPaused).toEqual({ idle_in_transaction_session_timeout: '5s' });
    await rollBack(context, { actor: 'olga', reason: null }, live);
    goOn();
    expect(isUnreachable(await first)).toBe(true);
    expect((await liveGeneration(fixture.pool))!.id).toBe(back);
  });

  test('an operator waited without end for another, and so did everybody who only looked', async () => {
    await goTo();
    const client = await fixture.pool.connect();
    await client.query(`begin; select pg_advisory_xact_lock(hashtext('opstruth.generations'))`);
    const waits: unknown[] = [];
    // oxlint-disable-next-line typescript/unbound-method -- called on the connection below
    const query = Client.prototype.query as Send;
    jest.spyOn(Client.prototype, 'query').mockImplementation(function (
      this: Client,
      ...given: unknown[]
    ): unknown {
      const limit = /^set local lock_timeout = (\d+)$/.exec(String(given[0]))?.[1];
      if (limit === undefined) return query.apply(this, given);
      waits.push(Number(limit));
      return query.apply(this, ['set local lock_timeout = 50']);
    });
    try {
      const wanted = { ...fixture.generation, surfaces: context.surfaces };
      expect((await ensureLiveGeneration(fixture.pool, wanted)).state).toBe('live');
      await expect(rollBack(context, OPERATOR)).rejects.toMatchObject({
        code: 'wrong_state',
        message: "waited 10 s for other operators' steps, which are still under way: try again later",
      });
      expect(waits).toEqual([10_000]);
    } finally {
      await client.query('rollback');
      client.release();
    }
  });
});
