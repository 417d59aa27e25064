import { runCli } from '../support/run-cli';

test('the help of a verb did not know --json, and told defaults twice or as []', async () => {
  const { code, stdout } = await runCli(['token', '--help'], {});
  const told = stdout.replace(/\s+/g, ' ');
  expect(code).toBe(0);
  expect(told).toMatch(/Global Options:.* --json print results and errors as JSON/);
  expect(told).toContain('--plane <plane> whose routes it opens (required)');
  expect(told).toContain('(default: every workspace)');
  expect(told).not.toMatch(/\[\]|default: false/);
});

test.each([
  ['token --plane admin --subject=', '--subject <name>', 'must not be empty'],
  ['replay status 99999999999', "argument 'id'", 'must be a whole number from 1 to 2147483647'],
])('opstruth %s ended with a stack or an error of the database', async (line, what, words) => {
  const { code, stdout, stderr } = await runCli(line.split(' '), { AUTH_JWT_SECRET: 'x'.repeat(32) });
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toMatch(/^error: [^\n]+\n$/);
  expect(stderr).toContain(what);
  expect(stderr).toContain(words);
});
