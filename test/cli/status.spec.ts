import { createTestDatabase } from '../support/database';
import type { TestDatabase } from '../support/database';
import { runCli } from '../support/run-cli';

let database: TestDatabase;
beforeAll(async () => (database = await createTestDatabase()));
afterAll(() => database.close());

test("status refused to work beside another version's live generation", async () => {
  const settings = { DATABASE_URL: database.url };
  expect(await runCli(['status'], settings)).toMatchObject({ code: 0 });
  await database.pool.query(`update opstruth.generations set surfaces_digest = 'of another version'`);
  const { code, stdout, stderr } = await runCli(['status', '--json'], settings);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(JSON.parse(stdout)).toMatchObject({
    generations: [{ generation: 1, state: 'live', position: '0.0' }],
  });
});
