import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { migrationsFolder } from '../../src/db/migrate';
import { loadPolicy } from '../../src/projector/policies';
import { createReplaysApp, READER, STRICTER } from './replays-app';
import type { ReplaysApp } from './replays-app';

let app: ReplaysApp;
beforeAll(async () => (app = await createReplaysApp()));
afterAll(() => app.close());

test('the list says which policy is in force, and a version is shown whole', async () => {
  const { policies } = (await app.get('policies', READER)).answer.data as { policies: object[] };
  expect(policies).toMatchObject([
    { version: app.generation.policyVersion, inForce: true },
    { version: app.stricter, inForce: false },
    { version: app.harmless, inForce: false },
  ]);
  expect(policies[0]).not.toHaveProperty('policy');
  const { answer } = await app.get(`policies/${app.stricter}`, READER);
  expect(answer.data).toMatchObject({ version: app.stricter, policy: STRICTER });
});

test('two versions are compared field by field, as they are in effect', async () => {
  const { answer } = await app.get(`policies/${app.stricter}/diff`, READER);
  const { from, to, changes } = answer.data as { from: number; to: number; changes: object[] };
  expect({ from, to }).toEqual({ from: app.generation.policyVersion, to: app.stricter });
  expect(changes.length).toBeGreaterThan(0);
  const back = await app.get(`policies/${from}/diff?from=${to}`, READER);
  const turned = changes.map((one) => {
    const { field, from: before, to: after } = one as { field: string; from?: unknown; to?: unknown };
    return {
      field,
      ...(after !== undefined && { from: after }),
      ...(before !== undefined && { to: before }),
    };
  });
  expect((back.answer.data as { changes: object[] }).changes).toEqual(turned);
  expect((await app.get(`policies/${from}/diff?from=99`, READER)).statusCode).toBe(404);
});

test('a proposal is kept once, with one audit entry, and warns of what its author may not have meant', async () => {
  const policy = { outcomeClasses: { failed: 'none' }, types: { sync: { queuedStaleAfterSeconds: 60 } } };
  const kept = await app.post('policies', { policy, reason: 'quieter' });
  expect(kept.statusCode).toBe(201);
  expect(kept.answer.data).toMatchObject({
    added: true,
    warnings: [expect.stringContaining('outcomeClasses.failed') as string],
  });
  const { version } = kept.answer.data!;
  expect((await app.get(`policies/${String(version)}`)).answer.data).toMatchObject({
    createdBy: 'olga',
    reason: 'quieter',
    policy: { ...policy, defaults: { heartbeatEverySeconds: 60 } },
  });
  const again = await app.post('policies', { policy });
  expect(again.statusCode).toBe(200);
  expect(again.answer.data).toMatchObject({ version, added: false });
  expect(await app.audited()).toEqual([{ actor: 'olga', action: 'policy.propose', reason: 'quieter' }]);
});

test('the same policy in another order was kept as another version', async () => {
  const { answer } = await app.post('policies', {
    policy: {
      types: { sync: { action: 'none' }, backup: { retryable: false } },
      reasonCodes: { b: 'none', a: 'none' },
    },
  });
  const version = answer.data!.version as number;
  const kept = (await app.get(`policies/${version}`)).answer.data!.policy;
  const turned = (value: unknown): unknown =>
    typeof value === 'object' && value !== null
      ? Object.fromEntries(
          Object.entries(value)
            .reverse()
            .map(([key, inner]) => [key, turned(inner)]),
        )
      : value;
  expect((await app.post('policies', { policy: turned(kept) })).answer.data).toMatchObject({
    version,
    added: false,
  });
  // As an older version has kept it: its digest was of the text.
  await app.pool.query(`update opstruth.policies set digest = 'older' where version = $1`, [app.stricter]);
  await app.pool.query(await readFile(join(migrationsFolder(), '0013_policy_digests.sql'), 'utf8'));
  expect((await app.post('policies', { policy: STRICTER })).answer.data).toMatchObject({
    version: app.stricter,
    added: false,
  });
});

test('one old version that no schema of today takes kept all others from being read', async () => {
  const { rows } = await app.pool.query<{ version: number }>(
    `insert into opstruth.policies (document, digest, created_by) values ('{"types": {"..": {}}}', 'old', 'test') returning version`,
  );
  try {
    expect(await loadPolicy(app.pool, app.stricter)).toMatchObject({ version: app.stricter });
  } finally {
    await app.pool.query('delete from opstruth.policies where version = $1', [rows[0]!.version]);
  }
});

test('two who propose the same at once get one version and leave one entry', async () => {
  const before = (await app.audited()).length;
  const policy = { defaults: { runningStaleAfterSeconds: 77 } };
  const answers = await Promise.all([1, 2, 3].map(() => app.post('policies', { policy })));
  expect(new Set(answers.map(({ answer }) => answer.data!.version)).size).toBe(1);
  expect(answers.map(({ statusCode }) => statusCode).sort((a, b) => a - b)).toEqual([200, 200, 201]);
  expect(await app.audited()).toHaveLength(before + 1);
});

test('a bad document is refused with every fault, and nothing is kept', async () => {
  const before = (await app.get('policies')).body;
  const policy = {
    defaults: { runningStaleAfterSeconds: -1, colour: 'red' },
    outcomeClasses: { failed: 'active_stale_attention' },
  };
  const { statusCode, answer } = await app.post('policies', { policy });
  expect(statusCode).toBe(400);
  expect(answer).toMatchObject({
    code: 'invalid_request',
    errors: [
      { path: 'policy', message: expect.stringContaining('defaults.runningStaleAfterSeconds') as string },
      { path: 'policy', message: expect.stringContaining('defaults.colour: unknown field') as string },
      { path: 'policy', message: expect.stringContaining('a completed run is never stale') as string },
    ],
  });
  for (const body of [{}, { policy: 'strict' }, { policy: {}, reason: 'x'.repeat(501) }, { defaults: {} }])
    expect((await app.post('policies', body)).statusCode).toBe(400);
  expect((await app.get('policies')).body).toBe(before);
});
