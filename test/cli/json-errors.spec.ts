import { runCli } from '../support/run-cli';

test.each([
  ['import', 'wrong settings:\n  import: give a folder', 2],
  ['status', 'the database cannot be reached: connect ECONNREFUSED', 1],
  ['serve', 'wrong settings:\n  AUTH_JWT_SECRET', 2],
])('--json left the errors of %s as plain text', async (verb, words, exitCode) => {
  const settings = { DATABASE_URL: 'postgres://u@127.0.0.1:1/db' };
  const { code, stdout, stderr } = await runCli([verb, '--json'], settings);
  expect({ code, stdout }).toEqual({ code: exitCode, stdout: '' });
  expect(stderr).toMatch(/^[^\n]+\n$/);
  expect(JSON.parse(stderr)).toEqual({ error: expect.stringContaining(words) as string });
});
