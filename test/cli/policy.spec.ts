import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parsePolicy } from '../../src/classifier/policy';
import { createOutput } from '../../src/cli/output';
import type { Output } from '../../src/cli/output';
import { showParked } from '../../src/cli/parked';
import { diffPolicies, propose, showPolicies, showPolicy } from '../../src/cli/policy';
import { fail } from '../../src/cli/fail';
import { savePolicy } from '../../src/projector/policies';
import { createTestDatabase } from '../support/database';
import type { TestDatabase } from '../support/database';

let database: TestDatabase;
let folder: string;
const environment = { ...process.env };
beforeAll(async () => {
  database = await createTestDatabase();
  folder = await mkdtemp(join(tmpdir(), 'opstruth-policy-'));
  process.env.DATABASE_URL = database.url;
});
afterAll(async () => {
  process.env = { ...environment };
  await rm(folder, { recursive: true });
  await database.close();
});

/** What a verb told as a value and in lines, and what it ended with when it threw. */
async function run(work: (output: Output) => Promise<void>) {
  const told = { value: undefined as unknown, lines: [] as string[], errors: '' };
  const output: Output = {
    json: false,
    line: () => undefined,
    result: (value, toLines) => {
      told.value = JSON.parse(JSON.stringify(value));
      told.lines = [...toLines(value)];
    },
    progress: () => ({ update: () => undefined, stop: () => undefined }),
  };
  const stderr = jest.spyOn(process.stderr, 'write').mockImplementation((text) => {
    told.errors += String(text);
    return true;
  });
  process.exitCode = undefined;
  await work(output).catch(fail);
  stderr.mockRestore();
  const exitCode = process.exitCode ?? 0;
  process.exitCode = undefined;
  return { ...told, exitCode };
}

test('a file that is not there, or is not JSON, is told in one line with exit code 1', async () => {
  const missing = join(folder, 'nofile.json');
  const { errors, exitCode } = await run((output) => propose(output, missing, null));
  expect(errors).toBe(`${missing}: cannot be read: ENOENT: no such file or directory, open '${missing}'\n`);
  expect(exitCode).toBe(1);

  const broken = join(folder, 'broken.json');
  await writeFile(broken, '{ defaults');
  const told = await run((output) => propose(output, broken, null));
  expect(told.errors).toMatch(/^\S+broken\.json: is not JSON: [^\n]+\n$/);
  expect(told.exitCode).toBe(1);
});

test('a file that an editor had begun with a byte order mark was called no JSON', async () => {
  const marked = join(folder, 'marked.json');
  await writeFile(marked, '\ufeff{ "defaults": { "runningStaleAfterSeconds": 77 } }');
  expect(await run((output) => propose(output, marked, null))).toMatchObject({ errors: '', exitCode: 0 });
});

test('what is wrong with a file was told without its name, and what show --json prints without what to take of it', async () => {
  const wrong = join(folder, 'wrong.json');
  await writeFile(wrong, '{ "version": 1, "policy": {} }');
  const { errors, exitCode } = await run((output) => propose(output, wrong, null));
  expect(errors).toMatch(`${wrong}: the policy cannot be used:\n  version: unknown field`);
  expect(errors).toContain(
    '  policy: unknown field; what stands in it is a policy, and the rest around it is not\n',
  );
  expect(exitCode).toBe(1);
});

test('a type called "__proto__" was lost without a word', async () => {
  const odd = join(folder, 'odd.json');
  await writeFile(odd, '{ "types": { "__proto__": { "runningStaleAfterSeconds": 77 } } }');
  const told = await run((output) => propose(output, odd, null));
  expect(told).toMatchObject({
    errors: `${odd}: has a field "__proto__", which nothing can be called\n`,
    exitCode: 1,
  });
});

test('show printed its policy on one line, which propose did not take', async () => {
  const write = jest.spyOn(process.stdout, 'write').mockImplementation(() => true);
  await showPolicy(createOutput(false), undefined);
  const shown = write.mock.calls.map(([text]) => String(text)).join('');
  write.mockRestore();
  const [title, ...json] = shown.split('\n');
  expect(title).toMatch(/^policy version \d+, in force$/);
  const again = join(folder, 'shown.json');
  await writeFile(again, json.join('\n'));
  expect(await run((output) => propose(output, again, null))).toMatchObject({ errors: '', exitCode: 0 });
});

test('diff tells what is in effect where a type falls back to the defaults, as plain values', async () => {
  const policies = [
    { types: { sync: { runningStaleAfterSeconds: 120 }, export: { retryable: false } } },
    {
      defaults: { runningStaleAfterSeconds: null },
      types: { export: { retryable: false } },
      reasonCodes: { quota: 'none' },
    },
  ];
  const versions: number[] = [];
  for (const policy of policies)
    versions.push(await savePolicy(database.pool, parsePolicy(policy), 'test', null));
  const { value, lines } = await run((output) => diffPolicies(output, versions[0]!, versions[1]!));
  expect(value).toEqual([
    { field: 'defaults.runningStaleAfterSeconds', from: 900, to: null },
    { field: 'types.export.runningStaleAfterSeconds', from: 900, to: null },
    { field: 'types.sync.runningStaleAfterSeconds', from: 120, to: null },
    { field: 'reasonCodes.quota', to: 'none' },
  ]);
  expect(lines.slice(1)).toEqual([
    expect.stringMatching(/^defaults\.runningStaleAfterSeconds +900 +null$/),
    expect.stringMatching(/^types\.export\.runningStaleAfterSeconds +900 +null$/),
    expect.stringMatching(/^types\.sync\.runningStaleAfterSeconds +120 +null$/),
    expect.stringMatching(/^reasonCodes\.quota +- +"none"$/),
  ]);
});

test("policies could not be looked at beside another version's live generation", async () => {
  const version = await savePolicy(database.pool, parsePolicy({}), 'test', null);
  await run((output) => showPolicies(output));
  await database.pool.query(`update opstruth.generations set surfaces_digest = 'of another version'`);
  const list = await run((output) => showPolicies(output));
  expect(list).toMatchObject({ exitCode: 0, errors: '' });
  expect(list.value).toContainEqual(expect.objectContaining({ version }));
  expect(await run((output) => showPolicy(output, version))).toMatchObject({
    exitCode: 0,
    value: { version },
  });
  expect(await run((output) => diffPolicies(output, version, version))).toMatchObject({
    exitCode: 0,
    value: [],
  });
  expect(await run((output) => showParked(output))).toMatchObject({ exitCode: 0, value: [] });
});
