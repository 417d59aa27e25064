import { createReplaysApp, READER } from './replays-app';
import type { ReplaysApp } from './replays-app';
import { projectionStatus } from '../../src/projector/projection-status';
import { testClock } from '../support/database';

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

  await app.pool.query(`update ${app.generation.schema}.runs set type = 'planted'`);
  const { answer } = await app.post('audits', { surfaces: true });
  const { differences, found } = answer.data as { differences: number; found: object[] };
  expect(differences).toBeGreaterThan(0);
  expect(found[0]).toMatchObject({ table: 'runs', column: 'type', stored: 'planted' });
  expect(await plan()).toMatchObject({ madeBy: 'full' });
});

test('a generation could be audited once it was live, and not before', async () => {
  const started = await app.post('replays', { full: true });
  const id = started.answer.data!.id as number;
  const asked = { generation: id };
  expect(await app.post('audits', asked)).toMatchObject({
    statusCode: 409,
    answer: { detail: `cannot audit generation ${id}: it is building, not live or ready or standby` },
  });
  await app.build(id);
  for (const request of [asked, { ...asked, surfaces: true }])
    expect((await app.post('audits', request)).answer.data).toMatchObject({ generation: id, differences: 0 });
  await app.pool.query(`update opstruth_gen_${id}.runs set type = 'planted'`);
  expect((await app.post('audits', { ...asked, surfaces: true })).answer.data).not.toMatchObject({
    differences: 0,
  });
  const { answer } = await app.post(`replays/${id}/cutover`, { apply: false });
  expect(answer.data!.objections).toContainEqual(
    expect.stringContaining(`wrong rows in generation ${id}`) as string,
  );
  expect((await app.post('audits', { generation: 99 })).statusCode).toBe(404);
});

test('what was asked for counted as folded where tables were compared, and not where runs were folded', async () => {
  const { id } = app.generation;
  const figures = async () =>
    (await projectionStatus(app.pool, app.store, testClock())).generations.find(
      (one) => one.generation === id,
    )!.audit;
  const before = (await figures())!.runsTotal;
  const { answer } = await app.post('audits', { sample: 7 });
  expect((await figures())!.runsTotal).toBe(before + Number(answer.data!.runs));
  await app.post('audits', { surfaces: true });
  expect((await figures())!.runsTotal).toBe(before + Number(answer.data!.runs));
});

test('it takes the capability, and says what it cannot read', async () => {
  expect((await app.post('audits', {}, READER)).statusCode).toBe(403);
  for (const body of [{ sample: 0 }, { sample: 5_001 }, { asOf: 'noon' }, { tables: true }])
    expect((await app.post('audits', body)).statusCode).toBe(400);
});
