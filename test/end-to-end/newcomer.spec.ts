import { Client } from 'pg';
import { streamOf } from '../../src/events/operation-run-events';
import { eventually } from '../support/eventually';
import { startService } from '../support/service';
import type { Service } from '../support/service';

describe('what a newcomer stumbled over', () => {
  let service: Service;
  beforeAll(async () => {
    service = await startService({ roles: 'api,projector' });
    for (const runId of ['a', 'b']) {
      await service.admin.post('/operation-runs', { runId, workspaceId: 'w', tenantId: 't', type: 'sync' });
      await service.admin.post(`/operation-runs/${runId}/complete`, { outcome: 'failed' });
    }
  });
  afterAll(() => service.close());

  test('a token without runs.triage resolved a follow-up by way of the batch route', async () => {
    const worker = await service.as({ workspaces: '*', capabilities: ['runs.write'] });
    const triage = await service.as({ workspaces: '*', capabilities: ['runs.triage'] });
    const commands = [
      { command: 'resolve', runId: 'a' },
      { command: 'queue', runId: 'c', workspaceId: 'w', type: 'sync' },
    ];
    const byWorker = await worker.post('/operation-runs:batch', { commands });
    expect(byWorker.body.results.map(({ status }) => status)).toEqual([403, 201]);
    const byTriage = await triage.post('/operation-runs:batch', { commands });
    expect(byTriage.body.results.map(({ status }) => status)).toEqual([200, 403]);
    expect(byTriage.body.position).toBe(byTriage.body.results[0]!.position);
  });

  test('a server that runs learns of an event that another process has left out', async () => {
    await service.admin.post('/operation-runs', { runId: 'spoilt', workspaceId: 'w', type: 'sync' });
    const other = new Client({ connectionString: service.databaseUrl });
    await other.connect();
    await other.query(
      `insert into opstruth.discarded_events (stream_id, revision, actor, reason) values ($1, 0, 'olga', 'spoilt')`,
      [streamOf('spoilt')],
    );
    await other.end();
    const beat = () => service.admin.post('/operation-runs/spoilt/progress');
    await eventually(async () => (await beat()).body.code === 'run_discarded');
  });

  test('a second note on an investigated run was dropped', async () => {
    const resolve = (body: object) => service.system.post('/system/ops/runs/b/mark-investigated', body);
    expect((await resolve({})).body).toMatchObject({ result: 'applied' });
    const noted = await resolve({ note: 'root cause: disk' });
    expect(noted.body).toMatchObject({ result: 'applied' });
    expect((await resolve({ note: 'root cause: disk' })).body).toMatchObject({ result: 'unchanged' });
    const detail = await service.system.get(`/system/ops/runs/b?minPosition=${noted.body.position}`);
    const { timeline } = detail.body.data as unknown as { timeline: { note: string | null }[] };
    expect(timeline.at(-1)!.note).toBe('root cause: disk');
  });

  test('a refusal offered actions that the reader has no route for', async () => {
    const admin = await service.admin.post('/operation-runs/b/start');
    expect(admin.body.allowedActions).toEqual(['reopen']);
    const system = await service.system.post('/system/ops/runs/b/cancel');
    expect([...system.body.allowedActions].sort()).toEqual(['reopen', 'retry']);
  });

  test('a 404 under an Idempotency-Key was the answer for ever', async () => {
    const key = { 'idempotency-key': 'early' };
    expect((await service.admin.post('/operation-runs/later/start', {}, key)).status).toBe(404);
    await service.admin.post('/operation-runs', { runId: 'later', workspaceId: 'w', type: 'sync' });
    expect((await service.admin.post('/operation-runs/later/start', {}, key)).status).toBe(200);
  });
});
