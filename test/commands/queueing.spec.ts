import { NOW, ago, createCommandsApp, refusal } from './commands-app';
import type { CommandsApp } from './commands-app';

let app: CommandsApp;
beforeAll(async () => (app = await createCommandsApp()));
afterAll(() => app.close());
beforeEach(() => app.clock.set(NOW));

describe('queueing', () => {
  const queue = (more: object) => app.post('/operation-runs', { workspaceId: 'w1', type: 'sync', ...more });

  it('into a workspace or tenant out of scope is a 404', async () => {
    const token = { workspaces: [{ id: 'w1', tenants: ['t1'] }], capabilities: ['runs.write' as const] };
    const body = { workspaceId: 'w1', tenantId: 't1', type: 'sync' };
    expect((await app.post('/operation-runs', body, { token })).statusCode).toBe(201);
    for (const outside of [{ workspaceId: 'w2' }, { tenantId: 't2' }, { tenantId: null }]) {
      const answer = await app.post('/operation-runs', { ...body, ...outside }, { token });
      expect([answer.statusCode, answer.data.code]).toEqual([404, 'not_found']);
    }
  });

  it('a run id again is a conflict; in a hidden workspace it tells no more than that', async () => {
    const runId = await app.run();
    expect(refusal(await queue({ runId }))).toMatchObject({
      statusCode: 409,
      problem: { code: 'run_already_exists', currentVersion: 1, currentStatus: 'queued' },
    });
    const token = { workspaces: [{ id: 'w2' }], capabilities: ['runs.write' as const] };
    const hidden = await app.post('/operation-runs', { runId, workspaceId: 'w2', type: 'sync' }, { token });
    expect(refusal(hidden)).toEqual({
      statusCode: 409,
      problem: {
        type: 'urn:opstruth:problem:run_already_exists',
        title: 'The operation run exists already',
        status: 409,
        code: 'run_already_exists',
        detail: 'this run id is taken',
      },
    });
  });

  const nested = (depth: number): object => (depth === 0 ? {} : { in: nested(depth - 1) });
  it.each<[string, object]>([
    ['no workspace', { workspaceId: undefined }],
    ['an empty type', { type: '' }],
    ['a control character in an id', { tenantId: 'a\u0000b' }],
    ['half a character in an id', { type: 'a\ud800' }],
    ['an id of 201 characters', { runId: 'x'.repeat(201) }],
    ['an instant without a zone', { occurredAt: '2026-03-01T12:00:00' }],
    ['an instant on a day that does not exist', { occurredAt: '2025-02-30T12:00:00Z' }],
    ['an instant more than five minutes ahead', { occurredAt: ago(-301) }],
    ['an instant of another age', { occurredAt: '0001-01-01T00:00:00Z' }],
    ['a context that is no object', { context: [1] }],
    ['a context of more than 16 KiB', { context: { text: 'x'.repeat(16_384) } }],
    ['a context that cannot be stored', { context: { deep: [{ text: 'a\u0000b' }] } }],
    ['a context nested too deep', { context: nested(40) }],
    ['counts that are no numbers', { summaryCounts: { done: '1' } }],
    ['too many counts', { summaryCounts: Object.fromEntries(Array.from({ length: 51 }, (_, n) => [n, n])) }],
  ])('with %s is a 400', async (_name, more) => {
    const answer = await queue(more);
    expect([answer.statusCode, answer.data.code]).toEqual([400, 'invalid_request']);
  });

  it('kept null where a context said a number that is too large', async () => {
    const body = '{"workspaceId":"w1","type":"sync","context":{"a":[1e999]}}';
    const answer = await app.post('/operation-runs', body, { 'content-type': 'application/json' });
    expect([answer.statusCode, answer.data.code]).toEqual([400, 'invalid_request']);
  });

  it.each<[string, object]>([
    ['an instant five minutes ahead', { occurredAt: ago(-300) }],
    ['a context of just 16 KiB', { context: { text: 'x'.repeat(16_384 - 11) } }],
    ['a backslash before u0000', { context: { path: 'C:\\u0000' } }],
    [
      'nulls for what it leaves out',
      { tenantId: null, initiator: null, summaryCounts: null, occurredAt: null },
    ],
  ])('with %s is fine', async (_name, more) => {
    expect((await queue(more)).statusCode).toBe(201);
  });

  it('a context that is nested without end does not hurt', async () => {
    const deep = `{"workspaceId":"w1","type":"sync","context":${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}}`;
    const answer = await app.post('/operation-runs', deep, { 'content-type': 'application/json' });
    expect(answer.statusCode).toBe(400);
  });
});
