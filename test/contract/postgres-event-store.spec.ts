import { DatabaseError } from 'pg';
import type { Pool, PoolClient, QueryConfig } from 'pg';
import { createPostgresEventStore } from '../../src/event-store/postgres-event-store';
import type { Append, EventStore } from '../../src/event-store/event-store';
import { START } from '../../src/events/position';
import { createTestDatabase } from '../support/database';
import type { TestDatabase } from '../support/database';
import { eventStoreContract } from './event-store.contract';
import {
  eventually,
  expectAppended,
  expectLogOrder,
  follow,
  newEvent,
  newEvents,
  newStream,
} from './event-store-fixtures';

let database: TestDatabase;
let pool: Pool;
const survived: Error[] = [];

beforeAll(async () => {
  database = await createTestDatabase({ max: 24 });
  ({ pool } = database);
});
afterAll(() => database.close());

async function makeStore(): Promise<{ store: EventStore; close: () => Promise<void> }> {
  await pool.query('truncate opstruth.events, opstruth.event_log');
  survived.length = 0;
  // So long a poll that only notifications can keep the tests in time.
  const store = createPostgresEventStore({ pool, pollMs: 60_000, onError: (error) => survived.push(error) });
  return {
    store,
    close: async () => {
      await store.close();
      expect(survived).toEqual([]);
    },
  };
}

eventStoreContract('PostgreSQL', makeStore);

describe('PostgreSQL event store', () => {
  let store: EventStore;
  let close: () => Promise<void>;
  let other: PoolClient;

  beforeEach(async () => {
    ({ store, close } = await makeStore());
    other = await pool.connect();
  });
  afterEach(async () => {
    other.release(true);
    await close();
  });

  /** An insert as another process makes it, in whatever transaction `other` is. */
  const insertElsewhere = (streamId: string, revision = 0) =>
    other.query(
      `insert into opstruth.events (stream_id, revision, event_id, type, data, metadata)
       values ($1, $2, gen_random_uuid(), 'OperationRunQueued', '{}', '{}')`,
      [streamId, revision],
    );

  const create = async (streamId: string, count = 1) =>
    expectAppended(await store.append({ streamId, expectedRevision: 'no_stream', events: newEvents(count) }));

  const waitingForLocks = async () => {
    const { rows } = await pool.query<{ pid: number }>(
      `select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
    );
    return rows.map(({ pid }) => pid);
  };

  it('starts empty, and each log has a name of its own', async () => {
    expect(await store.tail()).toEqual(START);
    const identity = await store.identity();
    await pool.query('truncate opstruth.event_log');
    expect(await store.identity()).not.toBe(identity);
  });

  it('refuses a log restored into a server that is behind it', async () => {
    await other.query(
      `insert into opstruth.events (commit_xid, stream_id, revision, event_id, type, data, metadata)
       values ('9000000000000000', 'operation_run-1', 0, gen_random_uuid(), 'OperationRunQueued', '{}', '{}')`,
    );
    await expect(store.identity()).rejects.toThrow(/9000000000000000.*restored/);
  });

  it('a reader never crosses an append that is still uncommitted, then gets it', async () => {
    const [slow, quick] = [newStream(), newStream()];
    await other.query('begin');
    await insertElsewhere(slow);
    await create(quick);
    expect(await store.readStream(quick)).toHaveLength(1);
    expect(await store.readAll(START, 10)).toEqual([]);
    expect(await store.tail()).toEqual(START);
    expect(await store.pending(START, 10)).toMatchObject({ events: 0 });
    const following = follow(store, START, 2);
    await other.query('commit');
    const events = await following;
    expect(events.map((event) => event.streamId)).toEqual([slow, quick]);
    expectLogOrder(events);
  });

  it('the log is read stream after stream, in the order of ids and revisions, up to a position', async () => {
    const [a, b, c] = ['operation_run-B', 'operation_run-a', 'operation_run-\u00e4'];
    for (const streamId of [c, a, b]) await create(streamId, 2);
    const upTo = await store.tail();
    await create('operation_run-C');
    await store.append({ streamId: b, expectedRevision: 1, events: newEvents(1) });
    const places: string[] = [];
    for (let from = { streamId: '', revision: -1 }; ;) {
      const page = await store.readByStream!(from, upTo, 4);
      places.push(...page.map(({ streamId, revision }) => `${streamId}@${revision}`));
      if (page.length < 4) break;
      from = page.at(-1)!;
    }
    expect(places).toEqual([a, b, c].flatMap((streamId) => [`${streamId}@0`, `${streamId}@1`]));
    expect(await store.readByStream!({ streamId: a, revision: 0 }, upTo, 1)).toEqual(
      await store.readStream(a, 1),
    );
  });

  it('a transaction that writes something else holds no event back', async () => {
    await other.query('begin');
    await other.query('create table opstruth.elsewhere ()');
    const streamId = newStream();
    const { position } = await create(streamId);
    expect((await store.readAll(START, 10)).map((event) => event.streamId)).toEqual([streamId]);
    expect(await store.tail()).toEqual(position);
    expect(await store.pending(START, 10)).toMatchObject({ events: 1 });
    await other.query('rollback');
  });

  it('an appender that has announced itself and has no transaction id yet holds back whatever is running', async () => {
    const writing = await pool.connect();
    try {
      await writing.query('begin');
      await writing.query('select pg_current_xact_id()');
      await other.query('begin');
      await other.query(`select pg_advisory_xact_lock_shared('opstruth.events'::regclass::oid::int, 1)`);
      const streamId = newStream();
      await create(streamId);
      const following = follow(store, START, 1);
      expect(await store.readAll(START, 10)).toEqual([]);
      // Neither of them notifies anybody.
      await other.query('rollback');
      expect((await following)[0]?.streamId).toBe(streamId);
    } finally {
      writing.release(true);
    }
  });

  it('refuses events of a transaction that has written before: a reader may be past its id', async () => {
    await other.query('begin');
    await other.query('create table opstruth.elsewhere ()');
    await expect(insertElsewhere(newStream())).rejects.toThrow(
      'events must be the first that a transaction writes',
    );
    await other.query('rollback');
    // Not even when it had announced itself and taken that back.
    await other.query('begin');
    await other.query('savepoint before');
    await insertElsewhere(newStream());
    await other.query('rollback to before');
    await expect(insertElsewhere(newStream())).rejects.toThrow(
      'events must be the first that a transaction writes',
    );
    await other.query('rollback');
  });

  it('several appends of one transaction are read together', async () => {
    const streams = [newStream(), newStream()];
    await other.query('begin');
    for (const streamId of streams) await insertElsewhere(streamId);
    await create(newStream());
    expect(await store.readAll(START, 10)).toEqual([]);
    await other.query('commit');
    expect((await store.readAll(START, 10)).slice(0, 2).map((event) => event.streamId)).toEqual(streams);
  });

  it('a reader whose snapshot is older than a commit does not cross it', async () => {
    const slow = newStream();
    await other.query('begin');
    await insertElsewhere(slow);
    await create(newStream());
    const reader = await pool.connect();
    try {
      await reader.query('begin isolation level repeatable read');
      await reader.query('select from opstruth.events');
      await other.query('commit');
      const { rows } = await reader.query(`select * from opstruth.readable_events('0', 0, 10)`);
      expect(rows).toEqual([]);
    } finally {
      reader.release(true);
    }
    expect((await store.readAll(START, 10))[0]?.streamId).toBe(slow);
  });

  it('a rolled-back append leaves a gap, not a hang', async () => {
    const following = follow(store, START, 2);
    await other.query('begin');
    await insertElsewhere(newStream());
    const [a, b] = [newStream(), newStream()];
    await create(a);
    await other.query('rollback');
    const { position } = await create(b);
    expect((await following).map((event) => event.streamId)).toEqual([a, b]);
    expect(
      await eventually(
        () => store.tail(),
        (tail) => tail.commit === position.commit,
      ),
    ).toEqual(position);
  });

  it('an append waits for a rival that holds its place, and takes it when the rival gives up', async () => {
    const streamId = newStream();
    await other.query('begin');
    await insertElsewhere(streamId);
    const appending = create(streamId, 2);
    await eventually(waitingForLocks, (pids) => pids.length === 1);
    await other.query('rollback');
    expect((await appending).revision).toBe(1);
  });

  it('the loser of a bulk call is one stream, not the call', async () => {
    const [lost, won] = [newStream(), newStream()];
    await other.query('begin');
    await insertElsewhere(lost);
    const appending = store.appendMany(
      [won, lost].map((streamId): Append => ({
        streamId,
        expectedRevision: 'no_stream',
        events: newEvents(2),
      })),
    );
    await eventually(waitingForLocks, (pids) => pids.length === 1);
    await other.query('commit');
    expect(await appending).toEqual([
      expect.objectContaining({ kind: 'appended', revision: 1 }),
      { kind: 'conflict', actualRevision: 0 },
    ]);
  });

  it('bulk calls that wait for each other both come to an end', async () => {
    const [a, b, p, q] = [newStream(), newStream(), newStream(), newStream()];
    const another = await pool.connect();
    const append = (streams: string[]) =>
      store.appendMany(
        streams.map((streamId): Append => ({
          streamId,
          expectedRevision: 'no_stream',
          events: newEvents(1),
        })),
      );
    try {
      // Each call has its first stream and is stopped before its last, which is the other's first.
      await other.query('begin');
      await insertElsewhere(p);
      await another.query('begin');
      await another.query(
        `insert into opstruth.events (stream_id, revision, event_id, type, data, metadata)
         values ($1, 0, gen_random_uuid(), 'OperationRunQueued', '{}', '{}')`,
        [q],
      );
      const calls = Promise.all([append([a, p, b]), append([b, q, a])]);
      await eventually(waitingForLocks, (pids) => pids.length === 2);
      await other.query('rollback');
      await another.query('rollback');
      const [[a1, p1, b1], [b2, q2, a2]] = (await calls).map((call) => call.map(({ kind }) => kind)) as [
        string[],
        string[],
      ];
      expect([p1, q2]).toEqual(['appended', 'appended']);
      expect(new Set([a1, a2])).toEqual(new Set(['appended', 'conflict']));
      expect(new Set([b1, b2])).toEqual(new Set(['appended', 'conflict']));
    } finally {
      another.release(true);
    }
  });

  /** The same pool, with something happening around each query. */
  const poolThat = (query: (query: string | QueryConfig, values?: unknown[]) => Promise<unknown>): Pool =>
    Object.assign(Object.create(pool) as Pool, { query });

  it('goes one append at a time when a call is disturbed again and again', async () => {
    const sizes: number[] = [];
    const contended = poolThat((query, values) => {
      // The second parameter has one element per append.
      const given: unknown[] = (typeof query === 'string' ? values : (query.values as unknown[])) ?? [];
      sizes.push(String(given[1]).split(',').length);
      if (sizes.length > 3) return pool.query(query, values);
      return Promise.reject(Object.assign(new DatabaseError('duplicate key', 0, 'error'), { code: '23505' }));
    });
    const disturbed = createPostgresEventStore({ pool: contended, onError: (error) => survived.push(error) });
    const [taken, a, b] = [newStream(), newStream(), newStream()];
    await create(taken);
    const results = await disturbed.appendMany(
      [a, taken, b].map((streamId): Append => ({
        streamId,
        expectedRevision: 'no_stream',
        events: newEvents(2),
      })),
    );
    expect(results.map(({ kind }) => kind)).toEqual(['appended', 'conflict', 'appended']);
    expect(sizes).toEqual([3, 3, 3, 1, 1, 1]);
    await disturbed.close();
  });

  it('a retry after the answer was lost writes nothing twice', async () => {
    const losing = createPostgresEventStore({
      pool: poolThat(async (...query) => {
        await pool.query(...query);
        throw new Error('connection lost after the commit');
      }),
      onError: (error) => survived.push(error),
    });
    const append: Append = { streamId: newStream(), expectedRevision: 'no_stream', events: newEvents(2) };
    await expect(losing.append(append)).rejects.toThrow('connection lost');
    const stored = await store.readStream(append.streamId);
    expect(await store.append(append)).toEqual({
      kind: 'appended',
      revision: 1,
      position: stored[1]?.position,
      isNew: false,
    });
    expect(await store.readStream(append.streamId)).toEqual(stored);
    await losing.close();
  });

  it('a retry after the connection died before the commit writes once', async () => {
    const append: Append = { streamId: newStream(), expectedRevision: 'no_stream', events: newEvents(2) };
    await other.query('begin');
    await insertElsewhere(append.streamId);
    const appending = store.append(append);
    const failed = expect(appending).rejects.toThrow(/terminat/);
    const [pid] = await eventually(waitingForLocks, (pids) => pids.length === 1);
    await pool.query('select pg_terminate_backend($1)', [pid]);
    await failed;
    await other.query('rollback');
    expect(await store.append(append)).toMatchObject({ kind: 'appended', revision: 1, isNew: true });
    expect(await store.readStream(append.streamId)).toHaveLength(2);
  });

  it('a failed read ends the subscription with its cause', async () => {
    const failing = createPostgresEventStore({
      pool: poolThat(() => Promise.reject(new Error('disk on fire'))),
      onError: (error) => survived.push(error),
    });
    await expect(follow(failing, START, 1)).rejects.toThrow('disk on fire');
    await failing.close();
  });

  it('reads the log by its primary key, from any position', async () => {
    await store.appendMany(
      Array.from({ length: 2_000 }, () => ({
        streamId: newStream(),
        expectedRevision: 'no_stream',
        events: newEvents(1),
      })),
    );
    const { commit, prepare } = await store.tail();
    // Planned before, so that what is counted is the reading.
    const read = `select * from opstruth.readable_events('${commit}', ${prepare - 5n}, 10)`;
    await other.query(read);
    const { rows } = await other.query<{ 'QUERY PLAN': string }>(`explain (analyze, buffers) ${read}`);
    const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
    expect(plan).toMatch(/actual .*rows=5/);
    const [, pages] = /Buffers: shared hit=(\d+)/.exec(plan)!;
    const { rows: size } = await other.query<{ pages: string }>(
      `select pg_relation_size('opstruth.events') / current_setting('block_size')::int as pages`,
    );
    expect(Number(size[0]?.pages)).toBeGreaterThan(30);
    expect(Number(pages)).toBeLessThan(15);
  });

  it('keeps microseconds of the time of record', async () => {
    const streamId = newStream();
    await store.append({ streamId, expectedRevision: 'no_stream', events: [newEvent(), newEvent()] });
    await pool.query(
      `update opstruth.events set recorded_at = case revision when 0 then timestamptz '2026-01-02 03:04:05.678901+02'
       else timestamptz '2026-01-02 03:04:05.67+02' end where stream_id = $1`,
      [streamId],
    );
    expect((await store.readStream(streamId)).map((event) => event.recordedAt)).toEqual([
      '2026-01-02T01:04:05.678901Z',
      '2026-01-02T01:04:05.670Z',
    ]);
  });
});
