import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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

test("beside another version's live generation no audit said what to do, and no policy could be kept for its successor", async () => {
  const settings = { DATABASE_URL: database.url };
  expect(await runCli(['audit'], settings)).toMatchObject({
    code: 1,
    stderr:
      'cannot audit generation 1: it has the read tables of another version of opstruth; run this step with the version that made it\n',
  });
  const folder = await mkdtemp(join(tmpdir(), 'opstruth-policy-'));
  try {
    const file = join(folder, 'policy.json');
    await writeFile(file, '{ "defaults": { "runningStaleAfterSeconds": 77 } }');
    expect(await runCli(['policy', 'propose', file], settings)).toMatchObject({ code: 0, stderr: '' });
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('a database on which nothing has served yet was said to have the schema of another version', async () => {
  const empty = await createTestDatabase();
  try {
    await empty.pool.query('drop schema opstruth cascade');
    expect(await runCli(['status'], { DATABASE_URL: empty.url })).toEqual({
      code: 1,
      stdout: '',
      stderr: 'nothing has been kept in this database yet: start a server on it, or run `opstruth migrate`\n',
    });
  } finally {
    await empty.close();
  }
});

test('a database of an older version is told which migrations it lacks', async () => {
  const older = await createTestDatabase();
  try {
    await older.pool.query(`delete from opstruth.migration where name > '0010'`);
    const { code, stderr } = await runCli(['status'], { DATABASE_URL: older.url });
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr:
        'the database is older than this version, it lacks 0010_discarded_event_type, 0011_judging, 0012_answers_of_a_scope, 0013_policy_digests, 0014_sorted_digests, 0015_stream_by_stream: run `opstruth migrate`\n',
    });
  } finally {
    await older.close();
  }
});
