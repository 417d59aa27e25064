import { rm } from 'node:fs/promises';
import { createTestDatabase } from '../support/database';
import type { TestDatabase } from '../support/database';
import { runCli } from '../support/run-cli';

let database: TestDatabase;
beforeAll(async () => (database = await createTestDatabase()));
afterAll(() => database.close());

test('demo --once told where to browse a server that was gone, and left out states that runs were in', async () => {
  const home = `${process.env.TMPDIR ?? '/tmp'}/opstruth-demo-${process.pid}`;
  const { code, stdout } = await runCli(['demo', '--once', '--runs', '60'], {
    DATABASE_URL: database.url,
    OPSTRUTH_HOME: home,
    PORT: '0',
  });
  await rm(home, { recursive: true, force: true });
  expect(code).toBe(0);
  expect(stdout).toMatch(
    /served until this command ends:[^]*curl -H "Authorization: Bearer [^]*\/system\/ops\/summary[^]*as of /,
  );
  const tables = stdout.split('\n').filter((line) => /^(workspace|platform)/.test(line));
  expect(Math.max(...tables.map((line) => line.length))).toBeLessThanOrEqual(120);
  const [states, classes] = tables.filter((line) => line.startsWith('platform')).map(figuresOf);
  const [total, ...byState] = states!;
  expect(sum(byState)).toBe(total);
  expect(sum(classes!.slice(1, 4))).toBe(total);
}, 60_000);

function figuresOf(line: string): number[] {
  return line.split(/ +/).slice(1).map(Number);
}

function sum(figures: readonly number[]): number {
  return figures.reduce((all, one) => all + one, 0);
}
