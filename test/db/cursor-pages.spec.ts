import type { PoolClient } from 'pg';
import { cursorPages } from '../../src/db/cursor-pages';
import { inSnapshot } from '../../src/db/transaction';
import { createTestDatabase } from '../support/database';
import type { TestDatabase } from '../support/database';

let db: TestDatabase;
beforeAll(async () => (db = await createTestDatabase()));
afterAll(() => db.close());

const NUMBERS = 'select i from generate_series(1, 10000) i';

/** How many rows came; `onFirst` is what the consumer does with the first page. */
function read(text: string, onFirst: (client: PoolClient) => Promise<void> = () => Promise.resolve()) {
  return inSnapshot(db.pool, async (client) => {
    let rows = 0;
    for await (const page of cursorPages(client, text, 1_000)) {
      if (rows === 0) await onFirst(client);
      rows += page.length;
    }
    return rows;
  });
}

const end = (client: PoolClient) =>
  db.pool.query('select pg_terminate_backend($1)', [(client as unknown as { processID: number }).processID]);
const ended = (client: PoolClient) => new Promise((resolve) => client.once('end', resolve));
/** Whichever of the two ends of the connection notices first. */
const LOST = /terminat|not queryable|EPIPE|ECONNRESET/i;
const fails = () => Promise.reject(new Error('the consumer'));

afterEach(() => {
  // Whatever became of a reading, its connection was given back.
  expect(db.pool.idleCount).toBe(db.pool.totalCount);
});

test('rows come page by page', async () => {
  expect(await read(NUMBERS)).toBe(10_000);
});

test.each([
  [
    'an error of the statement',
    'select 1 / (5500 - i) from generate_series(1, 10000) i',
    undefined,
    'division by zero',
  ],
  ['an error of the consumer', NUMBERS, fails, 'the consumer'],
  [
    'the end of the session while it reads',
    NUMBERS,
    async (client: PoolClient) => void (await end(client)),
    LOST,
  ],
  [
    'the end of the session while the consumer works',
    NUMBERS,
    async (client: PoolClient) => void (await Promise.all([ended(client), end(client)])),
    LOST,
  ],
  [
    'an error of the consumer after the end of the session',
    NUMBERS,
    async (client: PoolClient) => {
      await Promise.all([ended(client), end(client)]);
      await fails();
    },
    'the consumer',
  ],
])('%s kept the reading waiting for ever', async (_, text, onFirst, message) => {
  await expect(read(text, onFirst)).rejects.toThrow(message);
});
