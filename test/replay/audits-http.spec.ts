import { createReplaysApp, READER } from './replays-app';
import type { ReplaysApp } from './replays-app';

let app: ReplaysApp;
beforeAll(async () => (app = await createReplaysApp()));
afterAll(() => app.close());

test('an operator asks whether the rows say what the log does; a finding is kept, and no replay copies it', async () => {
  const plan = async () => (await app.post('replays:plan', { policyVersion: app.stricter })).answer.data;
  for (const request of [{}, { surfaces: true }]) {
    const { statusCode, answer } = await app.post('audits', request);
    expect(statusCode).toBe(200);
    expect(answer.data).toMatchObject({ generation: app.generation.id, differences: 0, found: [] });
  }
  expect(await plan()).toMatchObject({ madeBy: 'facts' });

  await app.pool.query(`update ${app.generation.schema}.operations_hub_runs set type = 'planted'`);
  const { answer } = await app.post('audits', { surfaces: true });
  const { differences, found } = answer.data as { differences: number; found: object[] };
  expect(differences).toBeGreaterThan(0);
  expect(found[0]).toMatchObject({ table: 'operations_hub_runs', column: 'type', stored: 'planted' });
  expect(await plan()).toMatchObject({ madeBy: 'full' });
});

test('it takes the capability, and says what it cannot read', async () => {
  expect((await app.post('audits', {}, READER)).statusCode).toBe(403);
  for (const body of [{ sample: 0 }, { sample: 5_001 }, { asOf: 'noon' }, { tables: true }])
    expect((await app.post('audits', body)).statusCode).toBe(400);
});
