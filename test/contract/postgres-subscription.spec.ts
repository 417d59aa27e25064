import { Pool } from 'pg';
import type { QueryConfig } from 'pg';
import type { EventStore } from '../../src/event-store/event-store';
import { createPostgresEventStore } from '../../src/event-store/postgres-event-store';
import { follow as followLog } from '../../src/event-store/subscription';
import { createWakeUp } from '../../src/event-store/wake-up';
import { START } from '../../src/events/position';
import { createTestDatabase } from '../support/database';
import type { TestDatabase } from '../support/database';
import { eventually, follow, newEvent, newEvents, newStream } from './event-store-fixtures';

/** So long that a test which needs the poll fails. */
const NO_POLL_MS = 60_000;

let database: TestDatabase;
let pool: Pool;
let survived: Error[];
const onError = (error: Error) => void survived.push(error);
const { signal: never } = new AbortController();

beforeAll(async () => {
  database = await createTestDatabase();
  ({ pool } = database);
});
afterAll(() => database.close());
beforeEach(async () => {
  survived = [];
  await pool.query('truncate opstruth.events');
});

async function listeners(channel: string): Promise<number[]> {
  const { rows } = await pool.query<{ pid: number }>(
    `select pid from pg_stat_activity where datname = current_database() and query = $1 and state = 'idle'`,
    [`LISTEN "${channel}"`],
  );
  return rows.map(({ pid }) => pid);
}

const listening = (channel: string) =>
  eventually(
    () => listeners(channel),
    (pids) => pids.length > 0,
  );

describe('PostgreSQL subscription', () => {
  const stores: EventStore[] = [];
  const open = (options: { pool?: Pool; pollMs?: number } = {}) => {
    const store = createPostgresEventStore({ pool, pollMs: NO_POLL_MS, ...options, onError });
    stores.push(store);
    return store;
  };
  afterEach(() => Promise.all(stores.splice(0).map((store) => store.close())));

  const create = (store: EventStore, events = newEvents(1)) =>
    store.append({ streamId: newStream(), expectedRevision: 'no_stream', events });

  /** The queries of one store, which then go on to the real pool. */
  function watched(): { pool: Pool; queries: QueryConfig[] } {
    const queries: QueryConfig[] = [];
    const query = (text: string | QueryConfig, values?: unknown[]) => {
      queries.push(typeof text === 'string' ? { text } : text);
      return typeof text === 'string' ? pool.query(text, values) : pool.query(text);
    };
    return { pool: Object.assign(Object.create(pool) as Pool, { query }), queries };
  }
  const readsIn = (queries: readonly QueryConfig[]) =>
    queries.filter(({ text }) => text.includes('readable_events'));

  it('wakes on the notification of each append', async () => {
    const store = open();
    const reader = store.subscribe(START, { batchSize: 10, signal: never })[Symbol.asyncIterator]();
    let next = reader.next();
    await listening('opstruth_events');
    for (let round = 0; round < 30; round++) {
      const events = newEvents(1);
      await create(store, events);
      const batch = (await next).value as { eventId: string }[];
      expect(batch.map((event) => event.eventId)).toEqual([events[0]?.eventId]);
      next = reader.next();
    }
  });

  it('loses no notification that comes while it looks', async () => {
    const wakeUp = createWakeUp({ pool, channel: 'opstruth_events', pollMs: NO_POLL_MS, onError });
    const found = { ...newEvent(), streamId: newStream(), revision: 0, position: START, recordedAt: '' };
    let looks = 0;
    const log = {
      read: async () => {
        looks += 1;
        if (looks > 2) return [found];
        if (looks === 1) return [];
        // Committed after this read looked, notified before it comes back.
        const mark = wakeUp.mark();
        await pool.query(`select pg_notify('opstruth_events', '')`);
        await eventually(
          () => Promise.resolve(wakeUp.mark()),
          (now) => now > mark,
        );
        return [];
      },
      hasMore: () => Promise.resolve(false),
    };
    const following = followLog(log, { from: START, batchSize: 10, signal: never, wakeUp, onError });
    expect((await following.next()).value).toEqual([found]);
    await following.return();
    await wakeUp.close();
  });

  it('polls when there is no notification', async () => {
    await pool.query('alter table opstruth.events disable trigger notify_events');
    try {
      const store = open({ pollMs: 10 });
      const following = follow(store, START, 3, { batchSize: 1 });
      await listening('opstruth_events');
      for (let round = 0; round < 3; round++) await create(store);
      expect(await following).toHaveLength(3);
    } finally {
      await pool.query('alter table opstruth.events enable trigger notify_events');
    }
  });

  it('still delivers after its LISTEN connection was killed, and says so', async () => {
    const store = open();
    const following = follow(store, START, 2, { batchSize: 1 });
    for (let kill = 1; kill <= 2; kill++) {
      const [pid] = await listening('opstruth_events');
      await pool.query('select pg_terminate_backend($1)', [pid]);
      await eventually(
        () => Promise.resolve(survived.length),
        (broken) => broken === kill,
      );
      await create(store);
    }
    expect(await following).toHaveLength(2);
    expect(survived[0]?.message).toMatch(/LISTEN opstruth_events broke .*terminat/);
  });

  it('leaves no connection behind', async () => {
    const store = open();
    const following = follow(store, START, 1);
    await listening('opstruth_events');
    await create(store);
    await following;
    await store.close();
    await eventually(
      () => listeners('opstruth_events'),
      (pids) => pids.length === 0,
    );
    expect(survived).toEqual([]);
  });

  it('reads one batch ahead, never more', async () => {
    const { pool: counted, queries } = watched();
    const store = open({ pool: counted });
    await create(store, newEvents(10));
    await eventually(
      () => store.tail(),
      (tail) => tail.commit > 0n,
    );
    const reader = store.subscribe(START, { batchSize: 2, signal: never })[Symbol.asyncIterator]();
    for (let taken = 1; taken <= 3; taken++) {
      await reader.next();
      for (let turn = 0; turn < 5; turn++) await pool.query('select 1');
      expect(readsIn(queries)).toHaveLength(taken + 1);
    }
    await reader.return?.();
  });

  it('tells of a read ahead that failed for nobody', async () => {
    let reads = 0;
    const query = (config: QueryConfig) =>
      (reads += 1) === 1 ? pool.query(config) : Promise.reject(new Error('disk on fire'));
    const failing = Object.assign(Object.create(pool) as Pool, { query });
    const writer = open();
    await create(writer, newEvents(4));
    await eventually(
      () => writer.tail(),
      (tail) => tail.commit > 0n,
    );
    expect(await follow(open({ pool: failing }), START, 2, { batchSize: 2 })).toHaveLength(2);
    await eventually(
      () => Promise.resolve(survived.map((error) => error.message)),
      (messages) => messages.includes('disk on fire'),
    );
  });

  it('does not scan again what its filter has rejected', async () => {
    const { pool: counted, queries } = watched();
    const store = open({ pool: counted, pollMs: 5 });
    const filter = { types: ['OperationRunCompleted'] };
    const following = follow(store, START, 1, { filter });
    await create(store, newEvents(20));
    const tail = await eventually(
      () => store.tail(),
      (reached) => reached.commit > 0n,
    );
    await eventually(
      () => Promise.resolve(readsIn(queries).at(-1)?.values),
      (values) => values?.[0] === String(tail.commit) && values[1] === String(tail.prepare),
    );
    const wanted = newEvent({}, 'OperationRunCompleted');
    await create(store, [...newEvents(3), wanted]);
    expect((await following)[0]?.eventId).toBe(wanted.eventId);
  });
});

describe('wake-up', () => {
  const channel = 'opstruth_test';
  const notify = () => pool.query('select pg_notify($1, $2)', [channel, '']);

  it('wakes every waiter over one connection', async () => {
    const wakeUp = createWakeUp({ pool, channel, pollMs: NO_POLL_MS, onError });
    const mark = wakeUp.mark();
    void wakeUp.wait(never);
    await eventually(
      () => Promise.resolve(wakeUp.mark()),
      (now) => now > mark,
    );
    const waits = Array.from({ length: 50 }, () => wakeUp.wait(never));
    expect(await listeners(channel)).toHaveLength(1);
    await notify();
    await Promise.all(waits);
    await wakeUp.close();
    await eventually(
      () => listeners(channel),
      (pids) => pids.length === 0,
    );
  });

  it('does not lose a notification between the mark and the wait', async () => {
    const wakeUp = createWakeUp({ pool, channel, pollMs: NO_POLL_MS, onError });
    await wakeUp.wait(never);
    const mark = wakeUp.mark();
    await notify();
    await eventually(
      () => Promise.resolve(wakeUp.mark()),
      (now) => now > mark,
    );
    await wakeUp.wait(never, undefined, mark);
    await wakeUp.close();
  });

  it('ends a wait at its time limit, at an abort, and at its close', async () => {
    const wakeUp = createWakeUp({ pool, channel, pollMs: NO_POLL_MS, onError });
    await wakeUp.wait(never);
    await wakeUp.wait(never, 1);
    await wakeUp.wait(AbortSignal.abort());
    const abort = new AbortController();
    const aborted = wakeUp.wait(abort.signal);
    abort.abort();
    await aborted;
    const closed = wakeUp.wait(never);
    await wakeUp.close();
    await closed;
    // Otherwise a loop around it would turn without pause.
    await expect(wakeUp.wait(never)).rejects.toThrow(/closed/);
    await wakeUp.close();
  });

  it('polls while the server cannot be reached, tells of each attempt and closes at once', async () => {
    const unreachable = new Pool({ host: '127.0.0.1', port: 1, password: 'x' });
    const wakeUp = createWakeUp({ pool: unreachable, channel, pollMs: 5, onError });
    await eventually(
      async () => {
        await wakeUp.wait(never);
        return survived.length;
      },
      (attempts) => attempts >= 2,
    );
    expect(survived[0]?.message).toMatch(/ECONNREFUSED.*polling until it is back/);
    await wakeUp.close();
  });
});
