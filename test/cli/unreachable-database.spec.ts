import { createTestDatabase } from '../support/database';
import type { TestDatabase } from '../support/database';
import { runCli } from '../support/run-cli';

const NOBODY_LISTENS = 'postgres://u:hunter2@127.0.0.1:1/db';

let database: TestDatabase;
beforeAll(async () => (database = await createTestDatabase()));
afterAll(() => database.close());

test.each(['status', 'parked list', 'policy show', 'migrate', 'serve'])(
  'a database that nobody listens on was told with a stack, or as a failed migration: %s',
  async (verb) => {
    const settings = { DATABASE_URL: NOBODY_LISTENS, AUTH_JWT_SECRET: 'x'.repeat(32) };
    expect(await runCli(verb.split(' '), settings)).toEqual({
      code: 1,
      stdout: '',
      stderr: 'DATABASE_URL: the database cannot be reached: connect ECONNREFUSED 127.0.0.1:1\n',
    });
  },
);

test('a wrong password was told with a stack', async () => {
  const url = new URL(database.url);
  url.password = 'hunter2';
  const { code, stderr } = await runCli(['status'], { DATABASE_URL: url.href });
  expect(code).toBe(1);
  expect(stderr).toMatch(
    /^DATABASE_URL: the database cannot be reached: password authentication failed .*\n$/,
  );
  expect(stderr).not.toContain('hunter2');
});
