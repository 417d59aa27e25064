import { setTimeout as sleep } from 'node:timers/promises';
import { createLease, isLeaseHeld } from '../../src/projector/lease';
import { createProjectorHealth, runProjectorRole } from '../../src/projector/projector-role';
import type { ProjectorHealth, ProjectorRoleOptions } from '../../src/projector/projector-role';
import { cutOver, rollBack } from '../../src/replay/cutover';
import { startReplay } from '../../src/replay/replays';
import { buildGeneration } from '../../src/replay/build/generation-build';
import { followsLog, generationById } from '../../src/projector/generations';
import { START } from '../../src/events/position';
import { testClock } from '../support/database';
import { createProjectionFixture } from '../support/projection';
import type { ProjectionFixture } from '../support/projection';
import { eventually } from '../support/eventually';
import { queueCommand } from '../support/queue-command';

const T0 = '2026-01-01T00:00:00.000Z';
const TTL_SECONDS = 1;

const queue = (runId: string) => ({ runId, command: queueCommand(T0) });

describe('several projector processes', () => {
  let fixture: ProjectionFixture;
  const running: { stop: AbortController; done: Promise<void> }[] = [];

  beforeEach(async () => {
    fixture = await createProjectionFixture();
  });
  afterEach(async () => {
    for (const { stop } of running) stop.abort();
    await Promise.all(running.splice(0).map(({ done }) => done));
    await fixture.close();
  });

  function start(name: string, changed: Partial<ProjectorRoleOptions> = {}) {
    const health = createProjectorHealth();
    const stop = new AbortController();
    const said: string[] = [];
    const log = { info: (_: object, message: string) => void said.push(message), error: () => undefined };
    const done = runProjectorRole(
      {
        ...fixture.options,
        lease: createLease(fixture.pool, 'projector', name, TTL_SECONDS),
        leaseTtlSeconds: TTL_SECONDS,
        lookEveryMs: 20,
        judgeFor: () => Promise.resolve(fixture.judge),
        log,
        ...changed,
      },
      health,
      stop.signal,
    );
    running.push({ stop, done });
    return { health, stop, said };
  }

  async function holds(health: ProjectorHealth): Promise<void> {
    await eventually(() => Promise.resolve(health.holdsLease));
  }

  async function projected(): Promise<string[]> {
    const { rows } = await fixture.pool.query<{ run_id: string }>(
      `select run_id from ${fixture.generation.schema}.run_facts order by run_id`,
    );
    return rows.map((row) => row.run_id);
  }

  test('one projects, the other stands by and takes over when the first stops', async () => {
    const first = start('first');
    await holds(first.health);
    const second = start('second');
    await fixture.write([queue('a')]);
    await eventually(async () => (await projected()).length === 1);
    expect(second.health.holdsLease).toBe(false);
    first.stop.abort();
    await holds(second.health);
    await fixture.write([queue('b')]);
    await eventually(async () => (await projected()).length === 2);
  });

  test('one that went silent without giving the lease back is replaced when its time is up', async () => {
    const dead = createLease(fixture.pool, 'projector', 'killed', TTL_SECONDS);
    expect(await dead.hold()).toBe(true);
    const second = start('second');
    await holds(second.health);
    await fixture.write([queue('a')]);
    await eventually(async () => (await projected()).length === 1);
  });

  test('one whose time was up is not taken for a holder, and takes the lease from nobody when it gives it back', async () => {
    const [late, next, third] = ['late', 'next', 'third'].map((name) =>
      createLease(fixture.pool, 'projector', name, TTL_SECONDS),
    );
    await late!.hold();
    await fixture.pool.query(`update opstruth.leases set expires_at = now() - interval '1 second'`);
    expect(await isLeaseHeld(fixture.pool, 'projector')).toBe(false);
    expect(await next!.hold()).toBe(true);
    await late!.release();
    expect(await third!.hold()).toBe(false);
  });

  test('one that could not ask for its lease any more, and projected nothing, still told that it held it', async () => {
    let isUp = true;
    const hold = () => (isUp ? Promise.resolve(true) : Promise.reject(new Error('the database is away')));
    const { health } = start('only', { lease: { hold, release: () => Promise.resolve() } });
    await holds(health);
    isUp = false;
    await eventually(() => Promise.resolve(!health.holdsLease));
    isUp = true;
    await holds(health);
  });

  test('one that was paused and comes back is fenced by the checkpoint and applies nothing twice', async () => {
    // A holder whose clock stood still: it believes in its lease for ever.
    const stubborn = { hold: () => Promise.resolve(true), release: () => Promise.resolve() };
    const paused = start('paused', { lease: stubborn });
    await holds(paused.health);
    const second = start('second');
    await holds(second.health);
    for (let n = 0; n < 20; n++) {
      await fixture.write([queue(`run-${String(n).padStart(2, '0')}`)]);
      if (n % 5 === 0) await sleep(5);
    }
    await eventually(async () => (await projected()).length === 20);
    const { rows } = await fixture.pool.query<{ applied: string; n: string }>(
      `select g.events_applied as applied, (select sum(n) from ${fixture.generation.schema}.run_workspace_counts) as n
       from opstruth.generations g where id = $1`,
      [fixture.generation.id],
    );
    expect(rows).toEqual([{ applied: '20', n: '20' }]);
  });

  test('one that is stopped while the database is down ended by an error', async () => {
    const gone = () => Promise.reject(new Error('the database is gone'));
    const stopped = start('first', { lease: { hold: () => Promise.resolve(true), release: gone } });
    await holds(stopped.health);
    stopped.stop.abort();
    await expect(running.splice(0)[0]!.done).resolves.toBeUndefined();
    expect(stopped.health.holdsLease).toBe(false);
  });

  test('a generation that becomes ready is followed, beside the live one', async () => {
    const { pool, store, options, judge } = fixture;
    await fixture.write([queue('a')]);
    const projector = start('first');
    await holds(projector.health);
    const context = { pool, store, surfaces: options.surfaces, clock: testClock(), judge: () => judge };
    const next = await startReplay(context, { full: true }, { actor: 'test', reason: null });
    await buildGeneration(next.id, options, new AbortController().signal);
    await fixture.write([queue('b')]);
    await eventually(async () => (await generationById(pool, next.id))!.eventsApplied === 2);
    await eventually(async () => (await projected()).length === 2);
  });

  test('follow no historical generation: it stays where it ends', async () => {
    const { pool, store, options, judge } = fixture;
    await fixture.write([queue('a')]);
    const context = { pool, store, surfaces: options.surfaces, clock: testClock(), judge: () => judge };
    const until = { position: (await eventually(async () => (await store.readAll(START, 1))[0])).position };
    const past = await startReplay(context, { until }, { actor: 'test', reason: null });
    await buildGeneration(past.id, options, new AbortController().signal);
    expect(followsLog((await generationById(pool, past.id))!, options.surfaces)).toBe(false);
  });

  test('after a cutover to another version the old one kept the lease, and the live generation stood still', async () => {
    const { pool, store, options, judge } = fixture;
    await fixture.write([queue('a')]);
    const old = { pool, store, surfaces: options.surfaces, clock: testClock(), judge: () => judge };
    const newer = { ...old, surfaces: options.surfaces.filter(({ name }) => name !== 'notifications') };
    const operator = { actor: 'test', reason: 'a new version' };
    /** A projector whose tries to get or keep the lease are counted. */
    const counting = (name: string, surfaces: ProjectorRoleOptions['surfaces']) => {
      const lease = createLease(pool, 'projector', name, TTL_SECONDS);
      const tries = { count: 0 };
      const hold = () => ((tries.count += 1), lease.hold());
      return { tries, ...start(name, { surfaces, lease: { ...lease, hold } }) };
    };
    const next = counting('new', newer.surfaces);
    await eventually(() => Promise.resolve(next.said.length > 0));
    const first = counting('old', old.surfaces);
    await holds(first.health);
    const made = await startReplay(newer, {}, operator);
    await buildGeneration(made.id, { ...options, surfaces: newer.surfaces }, new AbortController().signal);
    await eventually(async () => (await projected()).length === 1);
    expect(next.tries.count).toBe(0);

    const request = { gate: { maxChangePercent: 100, forbidden: [] }, force: true, asOf: T0 };
    await cutOver(newer, made.id, request, operator);
    await holds(next.health);
    const tries = first.tries.count;
    expect(first.health.holdsLease).toBe(false);
    await fixture.write([queue('b')]);
    await eventually(async () => (await generationById(pool, made.id))!.eventsApplied === 2);
    // Three times as long as from one try for the lease to the next.
    await sleep(TTL_SECONDS * 1000);
    expect(first.tries.count).toBe(tries);
    const standsBy = expect.stringMatching(/^generation \d+ has .* another version .* standing by/) as string;
    expect(first.said).toEqual([standsBy]);

    // The old version goes back to its own, and its projector with it.
    expect(await rollBack(old, operator)).toMatchObject({ from: made.id, to: fixture.generation.id });
    await holds(first.health);
    await fixture.write([queue('c')]);
    await eventually(async () => (await projected()).length === 3);
    expect(next.health.holdsLease).toBe(false);
    expect(next.said).toEqual([standsBy, expect.stringContaining('again') as string, standsBy]);
  });
});
