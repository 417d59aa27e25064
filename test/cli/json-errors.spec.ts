import { createTestDatabase } from '../support/database';
import { runCli } from '../support/run-cli';

test.each([
  ['import', 'wrong settings:\n  import: give a folder', 2],
  ['status', 'DATABASE_URL: the database cannot be reached: connect ECONNREFUSED', 1],
  ['serve', 'wrong settings:\n  AUTH_JWT_SECRET', 2],
])('--json left the errors of %s as plain text', async (verb, words, exitCode) => {
  const settings = { DATABASE_URL: 'postgres://u@127.0.0.1:1/db' };
  const { code, stdout, stderr } = await runCli([verb, '--json'], settings);
  expect({ code, stdout }).toEqual({ code: exitCode, stdout: '' });
  expect(stderr).toMatch(/^[^\n]+\n$/);
  expect(JSON.parse(stderr)).toEqual({ error: expect.stringContaining(words) as string });
});

test.each([
  ['a verb that is not there', 'statsu', "unknown command 'statsu'\n(Did you mean status?)"],
  ['a missing verb', 'policy', 'Usage: opstruth policy'],
  ['an unknown option', 'status --tail', "unknown option '--tail'"],
  ['a missing argument', 'replay retire', "missing required argument 'id'"],
  ['a wrong value', 'audit --sample few', "'few' is invalid. must be a whole number from 1 to 2147483647"],
])('--json left %s as plain text', async (_what, line, words) => {
  const { code, stdout, stderr } = await runCli([...line.split(' '), '--json'], {});
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toMatch(/^[^\n]+\n$/);
  expect(JSON.parse(stderr)).toEqual({ error: expect.stringContaining(words) as string });
  expect(stderr).not.toContain('error: ');
});

test('--json told refusals on standard output, where results are, and in a form of their own', async () => {
  const database = await createTestDatabase();
  const settings = { DATABASE_URL: database.url };
  const error = 'cannot cut over to generation 1: it is live, not ready';
  const ended = await runCli(['replay', 'cutover', '1', '--apply', '--json'], settings);
  expect(ended).toMatchObject({ code: 1, stdout: '' });
  expect(ended.stderr).toMatch(/^[^\n]+\n$/);
  expect(JSON.parse(ended.stderr)).toEqual({ error, code: 'wrong_state', details: [] });
  const plain = await runCli(['replay', 'cutover', '1', '--apply'], settings);
  expect(plain).toEqual({ code: 1, stdout: '', stderr: `${error}\n` });
  await database.close();
});
