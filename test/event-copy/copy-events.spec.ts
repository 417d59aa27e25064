import { copyEvents } from '../../src/event-copy/copy-events';
import type { CopyProgress } from '../../src/event-copy/copy-events';
import { nameOf, openCopyLog } from '../../src/event-copy/copy-log';
import type { CopyLog } from '../../src/event-copy/copy-log';
import { LogOccupiedError } from '../../src/event-store/log-writer';
import { createOrderedLogWriter } from '../../src/event-store/ordered-log-writer';
import { comparePositions, formatPosition, START } from '../../src/events/position';
import { eventually, idsOf, newEvent, newEvents } from '../contract/event-store-fixtures';
import { createTestDatabase } from '../support/database';
import type { TestDatabase } from '../support/database';
import { EventStoreDbStandIn } from '../support/eventstoredb-stand-in';

let databases: TestDatabase[];
let standIn: EventStoreDbStandIn;
/** Two logs in PostgreSQL and one in EventStoreDB, all empty. */
let postgres: CopyLog;
let other: CopyLog;
let eventStoreDb: CopyLog;

beforeEach(async () => {
  const onError = (error: Error) => console.error(error);
  standIn = new EventStoreDbStandIn();
  await standIn.start();
  databases = [await createTestDatabase(), await createTestDatabase()];
  const open = (url: string) => openCopyLog(url, { home: '', create: true, onError });
  [postgres, other] = [await open(databases[0]!.url), await open(databases[1]!.url)];
  eventStoreDb = await open(standIn.url);
});
afterEach(async () => {
  for (const log of [postgres, other, eventStoreDb]) await log.close();
  for (const database of databases) await database.close();
  await standIn.stop();
});

const streamOf = (name: string) => `operation_run-${name}`;

async function append({ store }: CopyLog, name: string, events = newEvents(1), after = -1): Promise<void> {
  const expectedRevision = after < 0 ? 'no_stream' : after;
  expect(await store.append({ streamId: streamOf(name), expectedRevision, events })).toMatchObject({
    kind: 'appended',
  });
}

/** A history in which every stream comes back while others lie between. */
async function writeHistory(log: CopyLog): Promise<void> {
  for (let round = 0; round < 3; round++)
    for (const name of ['a', 'b', 'c']) await append(log, name, newEvents(2), round * 2 - 1);
}

function copy(source: CopyLog, target: CopyLog, more: Partial<Parameters<typeof copyEvents>[0]> = {}) {
  return copyEvents({ source, target, inFlight: 4, signal: new AbortController().signal, ...more });
}

/** Readers do not see the newest events while a transaction of any other test on the server is older. */
async function everything(log: CopyLog) {
  const end = await log.end();
  await eventually(
    () => log.store.tail(),
    (tail) => comparePositions(tail, end) >= 0,
  );
  return log.store.readAll(START, 1_000);
}

test("an event of a stream that is no run's made every copy fail, once all had been copied", async () => {
  await append(postgres, 'a', newEvents(2));
  await postgres.store.append({ streamId: 'orders-1', expectedRevision: 'no_stream', events: newEvents(1) });
  await append(postgres, 'b', newEvents(1));
  expect(await copy(postgres, eventStoreDb)).toMatchObject({
    copied: 3,
    verified: { events: 3, streams: 2 },
  });
});

test('an empty log is copied, then what has come since, and no event twice', async () => {
  expect(await copy(postgres, eventStoreDb)).toMatchObject({
    copied: 0,
    verified: { events: 0, streams: 0 },
  });
  await writeHistory(postgres);
  const first = await copy(postgres, eventStoreDb, { inFlight: 1 });
  expect(first).toMatchObject({ copied: 18, verified: { events: 18, streams: 3, sameOrder: true } });
  expect(idsOf(await everything(eventStoreDb))).toEqual(idsOf(await everything(postgres)));
  await append(postgres, 'd', newEvents(3));
  const second = await copy(postgres, eventStoreDb);
  expect(second).toMatchObject({ copied: 3, verified: { events: 21, streams: 4 } });
  expect(second.verified.position).toBe(formatPosition(await postgres.end()));
  expect(await copy(postgres, eventStoreDb)).toMatchObject({ copied: 0, verified: second.verified });
});

test('into PostgreSQL go order, time of recording and all, from either store', async () => {
  await writeHistory(postgres);
  const copied = await copy(postgres, other);
  expect(copied.verified.sameOrder).toBe(true);
  const apartFromPosition = async (log: CopyLog) =>
    (await everything(log)).map(({ position: _position, ...event }) => event);
  expect(await apartFromPosition(other)).toEqual(await apartFromPosition(postgres));
  // The streams go on where they were.
  await append(other, 'a', newEvents(1), 5);
});

test('appends that were under way when a copy was killed leave gaps between streams, and the next fills them', async () => {
  await writeHistory(postgres);
  const events = await everything(postgres);
  const writer = createOrderedLogWriter(eventStoreDb.store, 4);
  await writer.write(events.filter(({ streamId, revision }) => streamId === streamOf('b') || revision < 2));
  await writer.close();
  const resumed = await copy(postgres, eventStoreDb);
  expect(resumed).toMatchObject({ copied: 8, verified: { events: 18, streams: 3, sameOrder: false } });
});

test('an append waits for the one before it on its stream, and for no other', async () => {
  await writeHistory(postgres);
  const { store } = eventStoreDb;
  const slow = {
    ...store,
    append: async (asked: Parameters<typeof store.append>[0]) => {
      if (asked.expectedRevision === 'no_stream') await new Promise((resolve) => setTimeout(resolve, 100));
      return store.append(asked);
    },
  };
  const writer = createOrderedLogWriter(slow, 4);
  await writer.write(await everything(postgres));
  await writer.flush();
  expect(await store.readAll(START, 1_000)).toHaveLength(18);
});

test('a target to which another process appends a stream of its own meanwhile is no copy', async () => {
  await writeHistory(postgres);
  let foreign: Promise<unknown> | undefined;
  const onProgress = () => void (foreign ??= append(other, 'foreign', newEvents(1)));
  await expect(copy(postgres, other, { onProgress })).rejects.toThrow('is not in');
  await foreign;
});

test('an append of a killed copy that arrives late is taken for what it is', async () => {
  await writeHistory(postgres);
  const events = (await everything(postgres)).filter(({ streamId }) => streamId === streamOf('a'));
  const late = createOrderedLogWriter(eventStoreDb.store, 4);
  await late.write(events.slice(0, 3));
  await late.flush();
  const writer = createOrderedLogWriter(eventStoreDb.store, 4);
  await writer.write(events);
  await writer.flush();
  expect(idsOf(await everything(eventStoreDb))).toEqual(idsOf(events));
});

test('a target with another history is refused by the name of the stream, and nothing is written to it', async () => {
  await writeHistory(postgres);
  await append(eventStoreDb, 'b', [newEvent({ n: 'another' }), newEvent()]);
  await expect(copy(postgres, eventStoreDb)).rejects.toThrow(/stream operation_run-b differs/);
  expect(await everything(eventStoreDb)).toHaveLength(2);

  await append(other, 'x');
  await expect(copy(postgres, other)).rejects.toThrow(
    /stream operation_run-x differs: revision 0 in postgres/,
  );
  expect(await everything(other)).toHaveLength(1);
});

test('a target whose streams are longer than the source has them is refused', async () => {
  await writeHistory(postgres);
  await copy(postgres, eventStoreDb);
  await append(eventStoreDb, 'c', newEvents(1), 5);
  await expect(copy(postgres, eventStoreDb)).rejects.toThrow(
    /stream operation_run-c differs: revision 6 in esdb/,
  );
});

test.each(['data', 'metadata', 'type', 'event_id'])('a copy with another %s is found out', async (column) => {
  await writeHistory(postgres);
  await copy(postgres, other);
  const value = { data: `'{"n":7}'`, metadata: `'{}'`, type: `'Other'`, event_id: 'gen_random_uuid()' }[
    column
  ];
  await databases[1]!.pool.query(
    `update opstruth.events set ${column} = ${value} where stream_id = $1 and revision = 3`,
    [streamOf('c')],
  );
  await expect(copy(postgres, other)).rejects.toThrow(/stream operation_run-c differs: the first 6 events/);
});

test('a source whose first events were truncated is told, and not copied with other revisions', async () => {
  await append(postgres, 'a', newEvents(3));
  await databases[0]!.pool.query('delete from opstruth.events where revision = 0');
  await expect(copy(postgres, eventStoreDb)).rejects.toThrow(
    /stream operation_run-a.*revision 1 comes where 0/,
  );
});

test('whoever appends to the target meanwhile is found out', async () => {
  await writeHistory(postgres);
  for (const target of [eventStoreDb, other]) {
    const intruding: CopyLog = {
      ...target,
      openWriter: async (options) => {
        const writer = await target.openWriter(options);
        return {
          ...writer,
          write: async (events) => {
            await append(target, 'b');
            await writer.write(events);
          },
        };
      },
    };
    await expect(copy(postgres, intruding)).rejects.toThrow(LogOccupiedError);
  }
});

test('of two copies into one database the second waits for the first', async () => {
  const first = await other.openWriter({ inFlight: 1 });
  const order: string[] = [];
  const second = other.openWriter({ inFlight: 1 }).then(async (writer) => {
    order.push('second');
    await writer.close();
  });
  const { pool } = databases[1]!;
  await eventually(async () => {
    const { rows } = await pool.query(
      `select from pg_locks where locktype = 'advisory' and not granted and database = (
         select oid from pg_database where datname = current_database())`,
    );
    return rows.length;
  }, Boolean);
  order.push('first');
  await first.close();
  await second;
  expect(order).toEqual(['first', 'second']);
});

test('stopped between batches it says so, and goes on later', async () => {
  for (let stream = 0; stream < 8; stream++) await append(postgres, `long-${stream}`, newEvents(100));
  const stopping = new AbortController();
  const told: CopyProgress[] = [];
  const onProgress = (progress: CopyProgress) => {
    told.push(progress);
    if (progress.phase === 'copying') stopping.abort();
  };
  await expect(copy(postgres, eventStoreDb, { signal: stopping.signal, onProgress })).rejects.toThrow(
    /abort/,
  );
  expect(told).toEqual([{ phase: 'copying', done: 500, total: 800 }]);
  expect(await everything(eventStoreDb)).toHaveLength(500);
  expect(await copy(postgres, eventStoreDb)).toMatchObject({ copied: 300, verified: { events: 800 } });
});

test('no name of a log has credentials in it', () => {
  expect(nameOf('postgres://ann:s3cret@db:5432/ops?sslmode=require&password=s3cret')).toBe(
    'postgres://db:5432/ops',
  );
  expect(nameOf('esdb+discover://admin:p@ss/w0rd@one:2113,two:2113?tls=false')).toBe(
    'esdb+discover://one:2113,two:2113',
  );
});
