import { Client } from 'pg';
import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { QueryConfig } from 'pg';
import { EVERYTHING } from '../../src/auth/principal';
import type { Scope } from '../../src/auth/principal';
import { inScope } from '../../src/auth/scope-sql';
import { openPool } from '../../src/db/database';
import { SnapshotReader } from '../../src/db/snapshot-reader';
import type { SnapshotRequest } from '../../src/db/snapshot-reader';
import type { Position } from '../../src/events/position';
import { classified, queuedRun } from '../classifier/run-facts';
import { eventually } from '../support/eventually';
import { createReadFixture } from './read-fixture';
import type { ReadFixture } from './read-fixture';

interface Tables {
  runs: { run_id: string; queued_at: string; workspace_id: string; tenant_id: string };
}

let fixture: ReadFixture;
let reader: SnapshotReader;
beforeAll(async () => {
  fixture = await createReadFixture();
});
afterAll(() => fixture.close());
beforeEach(async () => {
  await fixture.startOver();
  reader = new SnapshotReader(fixture.pool, { maxWaitMs: 300, pollMs: 5 });
});
afterEach(() => jest.restoreAllMocks());

const run = (
  runId: string,
  position: string,
  place: { workspaceId?: string; tenantId?: string | null } = {},
) => ({
  ...classified(queuedRun({ runId, ...place })),
  position,
});

type Asked = Partial<Omit<SnapshotRequest, 'visible'>> & { readonly scope?: Scope };

function ask({ scope = EVERYTHING, ...request }: Asked = {}, by = reader) {
  const visible = scope.kind === 'everything' ? null : inScope(scope);
  return by.read({ generation: null, visible, minPosition: null, ...request }, (db: Kysely<Tables>) => ({
    runs: db.selectFrom('runs').select('run_id').orderBy('run_id'),
    count: db.selectFrom('runs').select(sql<number>`count(*)`.as('n')),
  }));
}

/** What was asked for, which there must be. */
async function read(request: Asked = {}, by = reader) {
  const snapshot = await ask(request, by);
  if (snapshot.kind !== 'rows') throw new Error(snapshot.kind);
  const { meta, rows } = snapshot;
  return { meta, rows };
}

const at = (commit: number, prepare = 0): Position => ({ commit: BigInt(commit), prepare: BigInt(prepare) });

async function makeLive(id: number): Promise<void> {
  await fixture.pool.query(`update opstruth.generations set state = 'standby' where state = 'live'`);
  await fixture.pool.query(`update opstruth.generations set state = 'live' where id = $1`, [id]);
}

test('answers all queries out of one snapshot of the live generation, and says which', async () => {
  await fixture.show([run('a', '5.1'), run('b', '5.2')]);
  expect(await read()).toEqual({
    meta: { generation: fixture.generation.id, classifierVersion: 1, policyVersion: 1, position: '5.2' },
    rows: { runs: [{ run_id: 'a' }, { run_id: 'b' }], count: [{ n: 2 }] },
  });
});

test('sends one statement per read, once the live generation is known', async () => {
  await read();
  const query = jest.spyOn(Client.prototype, 'query');
  await read();
  expect(query).toHaveBeenCalledTimes(1);
  query.mockRestore();
});

test('after a switch the next read answers from the new generation', async () => {
  await fixture.show([run('old', '1.1')]);
  await read();
  const next = await fixture.addGeneration('ready');
  await fixture.show([run('new', '2.2')], next);
  await makeLive(next.id);
  const { meta, rows } = await read();
  expect(meta).toMatchObject({ generation: next.id, position: '2.2' });
  expect(rows.runs).toEqual([{ run_id: 'new' }]);
});

test('no read fails or mixes while generations are switched back and forth', async () => {
  const [first, second] = [fixture.generation, await fixture.addGeneration('standby')];
  await fixture.show([run('of-1', '1.1')]);
  await fixture.show([run('of-2', '1.1')], second);
  let reading = true;
  let switches = 0;
  const switching = (async () => {
    for (; reading; switches++) {
      const client = await fixture.pool.connect();
      const to = switches % 2 === 0 ? second : first;
      await client.query('begin');
      await client.query(`update opstruth.generations set state = 'standby' where state = 'live'`);
      await client.query(`update opstruth.generations set state = 'live' where id = $1`, [to.id]);
      await client.query('commit');
      client.release();
    }
  })();
  const answeredBy = new Set<number>();
  try {
    for (let reads = 0; reads < 30 || answeredBy.size < 2; reads++) {
      const { meta, rows } = await read();
      expect(rows.runs).toEqual([{ run_id: `of-${meta.generation === first.id ? 1 : 2}` }]);
      answeredBy.add(meta.generation);
    }
  } finally {
    reading = false;
    await switching;
  }
  expect(switches).toBeGreaterThan(1);
});

test('a reader that still knows a dropped generation finds the live one', async () => {
  await read();
  const next = await fixture.addGeneration('ready');
  await makeLive(next.id);
  await fixture.pool.query(`update opstruth.generations set state = 'retired' where id = $1`, [
    fixture.generation.id,
  ]);
  await fixture.pool.query(`drop schema ${fixture.generation.schema} cascade`);
  expect((await read()).meta.generation).toBe(next.id);
});

test.each([
  ['table', 'drop table $schema.runs'],
  ['column', 'alter table $schema.runs drop column queued_at cascade'],
])(
  'a live generation without a %s that is read was asked for it without a pause, for five seconds',
  async (_, change) => {
    await read();
    await fixture.pool.query(change.replace('$schema', fixture.generation.schema));
    const connect = jest.spyOn(fixture.pool, 'connect');
    const answer = reader.read(
      { generation: null, visible: null, minPosition: null },
      (db: Kysely<Tables>) => ({
        runs: db.selectFrom('runs').select('queued_at'),
      }),
    );
    expect(await answer).toEqual({ kind: 'unreadable_generation', generation: fixture.generation.id });
    expect(connect.mock.calls.length).toBeLessThan(5);
  },
);

test('without a live generation the service is not ready', async () => {
  await fixture.pool.query(`update opstruth.generations set state = 'standby'`);
  expect(await ask()).toEqual({ kind: 'no_live_generation' });
});

test('a generation can be asked for by its number, unless it is not yet or no more whole, or unknown', async () => {
  const historical = await fixture.addGeneration('ready');
  await fixture.show([run('then', '1.1')], historical);
  const { meta, rows } = await read({ generation: historical.id });
  expect([meta.generation, rows.runs]).toEqual([historical.id, [{ run_id: 'then' }]]);
  for (const state of ['building', 'retired', 'failed']) {
    await fixture.pool.query('update opstruth.generations set state = $1 where id = $2', [
      state,
      historical.id,
    ]);
    expect(await ask({ generation: historical.id })).toEqual({ kind: 'no_such_generation' });
  }
  expect(await ask({ generation: 4_000_000_000 })).toEqual({ kind: 'no_such_generation' });
});

describe('the position of an answer', () => {
  const limitedTo = (tenantIds: string[] | null): Scope => ({
    kind: 'grants',
    grants: [{ workspaceId: 'w1', tenantIds }],
  });

  test("is the newest one within the reader's scope", async () => {
    await fixture.show([run('a', '5.1', { tenantId: 't1' }), run('b', '6.9', { tenantId: null })]);
    await fixture.show([run('c', '7.10', { workspaceId: 'w2' })]);
    const positionFor = async (scope: Scope) => (await read({ scope })).meta.position;
    expect(await positionFor(EVERYTHING)).toBe('7.10');
    expect(await positionFor(limitedTo(null))).toBe('6.9');
    expect(await positionFor(limitedTo(['t1']))).toBe('5.1');
    expect(await positionFor(limitedTo(['elsewhere']))).toBe('0.0');
    expect(await positionFor({ kind: 'grants', grants: [] })).toBe('0.0');
  });

  test('compares as numbers, not as texts', async () => {
    await fixture.show([run('a', '9.9', { tenantId: 't1' }), run('b', '10.10', { tenantId: 't2' })]);
    expect((await read({ scope: limitedTo(null) })).meta.position).toBe('10.10');
    expect((await read({ minPosition: at(9, 100) })).meta.position).toBe('10.10');
  });
});

describe('waiting for a position', () => {
  test('answers at once when it has been reached', async () => {
    await fixture.show([run('a', '5.1')]);
    expect((await read({ minPosition: at(5, 1) })).rows.count).toEqual([{ n: 1 }]);
  });

  test('answers as soon as it is reached, with the rows of that moment', async () => {
    await fixture.show([run('a', '5.1')]);
    const answer = read({ minPosition: at(5, 2) });
    await new Promise((resolve) => setTimeout(resolve, 40));
    await fixture.show([run('b', '5.2')]);
    expect((await answer).rows.count).toEqual([{ n: 2 }]);
  });

  test('is told by a wake-up where there is one', async () => {
    await fixture.show([run('a', '5.1')]);
    const wakes: (() => void)[] = [];
    const wakeUp = { mark: () => 0, wait: () => new Promise<void>((resolve) => wakes.push(resolve)) };
    const woken = new SnapshotReader(fixture.pool, { wakeUp, maxWaitMs: 5_000 });
    const answer = read({ minPosition: at(5, 2) }, woken);
    while (wakes.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    await fixture.show([run('b', '5.2')]);
    wakes[0]!();
    expect((await answer).meta.position).toBe('5.2');
  });

  test('does not look while it is known that the projector is behind', async () => {
    await fixture.show([run('a', '5.1')]);
    let heard = at(5, 1);
    let wake = (): void => undefined;
    const wakeUp = {
      mark: () => 0,
      wait: () => new Promise<void>((resolve) => (wake = resolve)),
      reached: () => heard,
    };
    const woken = new SnapshotReader(fixture.pool, { wakeUp, maxWaitMs: 5_000 });
    await read({}, woken); // it knows the live generation now
    const connect = jest.spyOn(fixture.pool, 'connect');
    const answer = read({ minPosition: at(5, 3) }, woken);
    await fixture.show([run('b', '5.3')]);
    const looks = connect.mock.calls.length;
    for (const position of [at(5, 2), at(5, 3)]) {
      heard = position;
      wake();
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect((await answer).meta.position).toBe('5.3');
    expect(connect.mock.calls.length - looks).toBe(1);
  });

  test('looks all the same when it has heard nothing for a while: what is told can be lost', async () => {
    await fixture.show([run('a', '5.1')]);
    const wakeUp = { mark: () => 0, wait: () => Promise.resolve(), reached: () => at(1) };
    const deaf = new SnapshotReader(fixture.pool, { wakeUp, maxWaitMs: 5_000, pollMs: 20 });
    expect((await read({ minPosition: at(5, 1) }, deaf)).meta.position).toBe('5.1');
  });

  test('ends in time, and says where the read side is', async () => {
    await fixture.show([run('a', '5.1')]);
    expect(await ask({ minPosition: at(6) })).toMatchObject({ kind: 'behind', meta: { position: '5.1' } });
  });

  test('ends when the reader goes away', async () => {
    const away = new AbortController();
    const answer = read({ minPosition: at(6), signal: away.signal });
    away.abort(new Error('gone'));
    await expect(answer).rejects.toThrow('gone');
  });
});

test('a look-up is sent under a name of its own where plans are kept, and answers the same', async () => {
  await fixture.show([run('a', '5.1')]);
  const { lookups } = fixture;
  const kept = new SnapshotReader(fixture.pool, { lookups });
  const sent = jest.spyOn(lookups, 'query');
  const answers = [await read({ lookup: true }, kept), await read({ lookup: true }, kept), await read()];
  expect(answers[0]).toEqual(answers[2]);
  expect(answers[1]).toEqual(answers[2]);
  const names = sent.mock.calls.map(([query]) => (query as unknown as QueryConfig).name);
  const { id } = fixture.generation;
  expect(names).toEqual([`opstruth look-up ${id} 1`, `opstruth look-up ${id} 1`]);

  // After a switch the names begin anew; one that is asked for by its number has none.
  const next = await fixture.addGeneration('ready');
  await makeLive(next.id);
  sent.mockClear();
  await read({ lookup: true }, kept);
  await read({ lookup: true, generation: id }, kept);
  await makeLive(id);
  await read({ lookup: true }, kept);
  const later = sent.mock.calls.map(([query]) => (query as unknown as QueryConfig).name);
  expect(later).toEqual([
    // The first of the two finds that the generation is live no longer.
    `opstruth look-up ${id} 1`,
    `opstruth look-up ${next.id} 1`,
    `opstruth look-up ${next.id} 1`,
    `opstruth look-up ${id} 1`,
  ]);
});

test('an error of a query is not mistaken for a switch', async () => {
  const broken = reader.read(
    { generation: null, visible: null, minPosition: null },
    (db: Kysely<Tables>) => ({
      runs: db
        .selectFrom('runs')
        .select(sql`1 / 0`.as('n'))
        .where(sql<boolean>`1 / 0 = 1`),
    }),
  );
  await expect(broken).rejects.toThrow('division by zero');
});

test('readers that waited for a locked table took every connection, and commands stood still with them', async () => {
  await fixture.show([run('a', '5.1')]);
  const narrow = openPool(fixture.pool.options.connectionString!, { max: 4, applicationName: 'test' });
  const locker = await fixture.pool.connect();
  try {
    const by = new SnapshotReader(narrow);
    await read({}, by);
    await locker.query(`begin; lock table ${fixture.generation.schema}.runs`);
    const waiting = Array.from({ length: 8 }, () => read({}, by));
    await eventually(async () => {
      const { rows } = await fixture.pool.query(
        `select from pg_locks where not granted and database = (select oid from pg_database where datname = current_database())`,
      );
      return rows.length > 0;
    });
    const { rows } = await narrow.query('select 1 as one');
    expect(rows).toEqual([{ one: 1 }]);
    await locker.query('commit');
    expect((await Promise.all(waiting)).map(({ rows: { count } }) => count)).toEqual(
      Array.from({ length: 8 }, () => [{ n: 1 }]),
    );
  } finally {
    locker.release();
    await narrow.end();
  }
});
