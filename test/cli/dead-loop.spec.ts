import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { createTestDatabase } from '../support/database';
import type { TestDatabase } from '../support/database';
import { spawnCli } from '../support/run-cli';

let database: TestDatabase;
let server: ReturnType<typeof spawnCli> | undefined;
beforeAll(async () => (database = await createTestDatabase()));
afterAll(async () => {
  server?.kill('SIGKILL');
  await database.close();
});

const support = (file: string) => join(__dirname, '../support', file);

test('a server of which a background loop had died by a bug went on serving', async () => {
  server = spawnCli(['serve'], {
    DATABASE_URL: database.url,
    AUTH_JWT_SECRET: 'x'.repeat(32),
    PORT: '0',
    NODE_OPTIONS: `--require ${support('swc-register.cjs')} --require ${support('dead-loop.ts')}`,
  });
  const [stdout, stderr, [code]] = await Promise.all([
    text(server.stdout),
    text(server.stderr),
    once(server, 'exit') as Promise<[number | null]>,
  ]);
  expect(code).toBe(1);
  expect(stdout).toContain('a background loop has ended by an error');
  expect(stderr).toContain('a planted bug');
  // It went in order: whoever takes over need not wait for a lease to run out.
  const { rows } = await database.pool.query('select name from opstruth.leases');
  expect(rows).toEqual([]);
}, 20_000);
