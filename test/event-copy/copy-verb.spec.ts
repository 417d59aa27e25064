import { copyVerb } from '../../src/cli/events-copy';
import type { Output } from '../../src/cli/output';
import { createEventStoreDbEventStore } from '../../src/event-store/eventstoredb-event-store';
import { expectAppended, newEvents, newStream } from '../contract/event-store-fixtures';
import { createTestDatabase } from '../support/database';
import type { TestDatabase } from '../support/database';
import { EventStoreDbStandIn } from '../support/eventstoredb-stand-in';

const SECRET = 'hunter2';
const standIn = new EventStoreDbStandIn();
let database: TestDatabase;
beforeAll(async () => {
  await standIn.start();
  database = await createTestDatabase();
});
afterAll(async () => {
  await database.close();
  await standIn.stop();
});

async function run(from: string, to: string) {
  const told = { value: undefined as unknown, lines: [] as string[], bars: [] as string[] };
  const output: Output = {
    json: true,
    line: () => undefined,
    result: (value, toLines) => {
      told.value = value;
      told.lines = [...toLines(value)];
    },
    progress: (title) => {
      told.bars.push(title);
      return { update: () => undefined, stop: () => undefined };
    },
  };
  await copyVerb(output, { from, to, inFlight: 8 });
  return { ...told, text: [JSON.stringify(told.value), ...told.lines].join('\n') };
}

test('the report names both logs, what was copied and how it was verified, and no password', async () => {
  const store = createEventStoreDbEventStore({ url: standIn.url, onError: (error) => console.error(error) });
  const append = { streamId: newStream(), expectedRevision: 'no_stream' as const, events: newEvents(3) };
  expectAppended(await store.append(append));
  const from = standIn.url.replace('esdb://', `esdb://ops:${SECRET}@`);
  const told = await run(from, database.url);
  expect(told.value).toMatchObject({
    from: { log: `esdb://127.0.0.1:${standIn.port}`, identity: await store.identity() },
    copied: 3,
    verified: {
      events: 3,
      streams: 1,
      sameOrder: true,
      digest: expect.stringMatching(/^[0-9a-f]{32}$/) as string,
    },
    recordedAt: 'kept',
    interrupted: false,
  });
  expect(told.bars).toEqual(['copying', 'reading the source', 'reading the target']);
  expect(told.lines[0]).toMatch(
    /^3 events copied from esdb:\/\/127.*\(log .*\) to postgres:\/\/.* in \d+\.\d s$/,
  );
  for (const secret of [SECRET, new URL(database.url).password].filter(Boolean))
    expect(told.text).not.toContain(secret);
  await store.close();
});

test.each([
  ['--from', `mysql://ops:${SECRET}@host/db`, 'embedded'],
  ['--from', `postgres://ops:${SECRET}@ho st/db`, 'embedded'],
  ['--from', `esdb://ops:${SECRET}@host?tls=${SECRET}`, 'embedded'],
])('a wrong %s is told without repeating it', async (flag, from, to) => {
  const running = run(from, to);
  await expect(running).rejects.toThrow(new RegExp(`^wrong settings:\n {2}${flag}: `));
  await expect(running).rejects.not.toThrow(SECRET);
});

test('a server that cannot be reached is told as one', async () => {
  const running = run(`postgres://ops:${SECRET}@127.0.0.1:1/db`, standIn.url);
  await expect(running).rejects.toThrow(/--from: cannot be opened: connect ECONNREFUSED/);
});

test('a database without a log is no source', async () => {
  const { pool } = database;
  await pool.query('alter schema opstruth rename to elsewhere');
  await expect(run(database.url, standIn.url)).rejects.toThrow(/--from: is a database without an event log/);
  await pool.query('alter schema elsewhere rename to opstruth');
});
