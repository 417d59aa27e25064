import { streamOf } from '../../src/events/operation-run-events';
import { formatPosition } from '../../src/events/position';
import { newEvent } from '../contract/event-store-fixtures';
import { NOW, ago, createCommandsApp, refusal } from './commands-app';
import type { CommandsApp } from './commands-app';

let app: CommandsApp;
beforeAll(async () => (app = await createCommandsApp()));
afterAll(() => app.close());
beforeEach(() => app.clock.set(NOW));

const WORKER_ROUTES = ['start', 'progress', 'complete', 'cancel', 'follow-up/resolve', 'follow-up/reopen'];
const OPERATOR_ROUTES = ['retry', 'cancel', 'mark-failed', 'mark-investigated', 'reopen'];
const urlsFor = (runId: string) => [
  ...WORKER_ROUTES.map((route) => `/operation-runs/${runId}/${route}`),
  ...OPERATOR_ROUTES.map((route) => `/system/ops/runs/${runId}/${route}`),
];
/** A body that the route accepts. */
const bodyFor = (url: string) =>
  url.endsWith('/complete') ? { outcome: 'failed' } : url.endsWith('/mark-failed') ? { reason: 'lost' } : {};
const reconciled = { reason: 'the host is gone' };

async function lastEvent(runId: string) {
  return (await app.store.readStream(streamOf(runId))).at(-1)!;
}

describe('an accepted command', () => {
  it('that queues answers 201, the run, and where to find it', async () => {
    const answer = await app.post('/operation-runs', {
      runId: 'nightly/1',
      workspaceId: 'w1',
      type: 'backup',
      initiator: 'cron',
      context: { volumes: ['a', 'b'] },
      summaryCounts: { planned: 4 },
      occurredAt: '2026-03-01T12:59:59+01:00',
    });
    expect(answer.statusCode).toBe(201);
    expect(answer.headers).toMatchObject({ etag: '"1"' });
    const event = await lastEvent('nightly/1');
    expect(answer.data).toEqual({
      runId: 'nightly/1',
      version: 1,
      position: formatPosition(event.position),
      result: 'applied',
      status: 'queued',
      outcome: 'pending',
      events: ['OperationRunQueued'],
    });
    expect(event).toMatchObject({
      data: {
        occurredAt: '2026-03-01T11:59:59.000Z',
        workspaceId: 'w1',
        tenantId: null,
        type: 'backup',
        initiator: 'cron',
        context: { volumes: ['a', 'b'] },
        summaryCounts: { planned: 4 },
        origin: null,
      },
      metadata: { actor: 'alice', plane: 'admin' },
    });
  });

  it('that names no run makes one, and one that names no time happens now', async () => {
    const answer = await app.post('/operation-runs', { workspaceId: 'w1', tenantId: 't1', type: 'sync' });
    expect(answer.statusCode).toBe(201);
    const { runId } = answer.data as { runId: string };
    expect(runId).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-5/);
    expect((await lastEvent(runId)).data).toMatchObject({ occurredAt: NOW, tenantId: 't1', context: {} });
  });

  it('leads a run through its life', async () => {
    const runId = await app.run();
    const started = await app.post(`/operation-runs/${runId}/start`, { occurredAt: NOW });
    expect([started.statusCode, started.headers.etag]).toEqual([200, '"2"']);
    expect(started.data).toMatchObject({ status: 'running', events: ['OperationRunStarted'] });

    const again = await app.post(`/operation-runs/${runId}/start`);
    expect([again.statusCode, again.headers.etag]).toEqual([200, '"2"']);
    expect(again.data).toMatchObject({ result: 'unchanged', events: [], position: started.data.position });

    const beat = await app.post(`/operation-runs/${runId}/progress`, { summaryCounts: { done: 1 } });
    expect(beat.data).toMatchObject({ version: 3, events: ['OperationRunProgressed'] });

    const done = await app.post(`/operation-runs/${runId}/complete`, {
      outcome: 'partially_succeeded',
      summaryCounts: { done: 3, failed: 1 },
      failureSummary: [
        { code: 'E7', message: `password=x ${'y'.repeat(2000)}\u0000` },
        { code: 'E8', count: 4 },
      ],
      reasonCode: 'quota',
      reason: 'half of it',
    });
    expect(done.statusCode).toBe(200);
    expect(done.data).toMatchObject({ version: 4, status: 'completed', outcome: 'partially_succeeded' });
    expect((await lastEvent(runId)).data).toEqual({
      occurredAt: NOW,
      outcome: 'partially_succeeded',
      summaryCounts: { done: 3, failed: 1 },
      failureSummary: [
        { code: 'E7', message: `password=*** ${'y'.repeat(486)}…`, count: 1 },
        { code: 'E8', message: '', count: 4 },
      ],
      reasonCode: 'quota',
      reason: 'half of it',
    });

    const seen = await app.post(`/operation-runs/${runId}/follow-up/resolve`, { note: ' known\u0007 \n' });
    expect(seen.data).toMatchObject({ version: 5, events: ['OperationRunFollowUpResolved'] });
    expect((await lastEvent(runId)).data).toMatchObject({ note: 'known' });
    const reopened = await app.post(`/operation-runs/${runId}/follow-up/reopen`);
    expect(reopened.data).toMatchObject({ version: 6, outcome: 'partially_succeeded' });
  });

  it('kept a private key of several lines in its reason or note', async () => {
    const key = '-----BEGIN RSA PRIVATE KEY-----\r\nMIIEvQ\r\n-----END RSA PRIVATE KEY-----';
    const runId = await app.run({}, ['complete', { outcome: 'failed', reason: `no\n${key}` }]);
    expect((await lastEvent(runId)).data).toMatchObject({ reason: 'no\n***' });
    await app.post(`/operation-runs/${runId}/follow-up/resolve`, { note: `${key} leaked` });
    expect((await lastEvent(runId)).data).toMatchObject({ note: '*** leaked' });
  });

  it('of a worker whose run others have failed is kept as evidence', async () => {
    const runId = await app.run({ occurredAt: ago(700) }, [
      '/system/ops/runs/{runId}/mark-failed',
      reconciled,
    ]);
    const late = await app.post(`/operation-runs/${runId}/complete`, { outcome: 'succeeded' });
    expect(late.statusCode).toBe(200);
    expect(late.data).toMatchObject({
      result: 'recorded_late',
      version: 3,
      outcome: 'failed',
      events: ['OperationRunLateReportRecorded'],
    });
  });

  it('of such a worker is kept as evidence under If-Match too, for it has not seen that it was given up on', async () => {
    const runId = await app.run({ occurredAt: ago(700) }, [
      '/system/ops/runs/{runId}/mark-failed',
      reconciled,
    ]);
    const url = `/operation-runs/${runId}/complete`;
    const late = await app.post(url, { outcome: 'succeeded' }, { 'if-match': '"1"' });
    expect(late.data).toMatchObject({ result: 'recorded_late', version: 3 });
    const resolving = { 'if-match': '"1"' };
    const resolved = await app.post(`/operation-runs/${runId}/follow-up/resolve`, {}, resolving);
    expect(resolved.statusCode).toBe(412);
  });

  it('keeps no credential that somebody wrote into a reason', async () => {
    const runId = await app.run({}, ['start']);
    const reason = 'refused: password=hunter2';
    await app.post(`/operation-runs/${runId}/complete`, { outcome: 'failed', reason });
    expect((await lastEvent(runId)).data).toMatchObject({ reason: 'refused: password=***' });
  });

  it('cancels, and cancels again without a change', async () => {
    const runId = await app.run();
    const cancelled = await app.post(`/operation-runs/${runId}/cancel`, { reason: 'not needed' });
    expect(cancelled.data).toMatchObject({ result: 'applied', outcome: 'cancelled' });
    const again = await app.post(`/system/ops/runs/${runId}/cancel`);
    expect(again.statusCode).toBe(200);
    expect(again.data).toMatchObject({ result: 'unchanged', version: 2 });
  });

  it('of an operator fails a stuck run, marks it investigated, reopens it and retries it', async () => {
    const runId = await app.run({ occurredAt: ago(601) });
    const ops = `/system/ops/runs/${runId}`;
    const failed = await app.post(`${ops}/mark-failed`, reconciled);
    expect(failed.data).toMatchObject({
      result: 'applied',
      outcome: 'failed',
      events: ['OperationRunReconciled'],
    });
    expect((await lastEvent(runId)).metadata).toMatchObject({ actor: 'olga', plane: 'system' });
    expect((await app.post(`${ops}/mark-investigated`, { note: 'mine' })).data).toMatchObject({ version: 3 });
    expect((await app.post(`${ops}/mark-investigated`)).data).toMatchObject({ result: 'unchanged' });
    expect((await app.post(`${ops}/reopen`)).data).toMatchObject({ version: 4 });

    const retried = await app.post(`${ops}/retry`, { reason: 'the host is back' });
    expect(retried.statusCode).toBe(200);
    expect(retried.headers.etag).toBe('"5"');
    const { successorRunId } = retried.data as { successorRunId: string };
    expect(retried.data).toEqual({
      runId,
      version: 5,
      position: formatPosition((await lastEvent(successorRunId)).position),
      result: 'applied',
      status: 'completed',
      outcome: 'failed',
      events: ['OperationRunRetried'],
      successorRunId,
    });
    expect((await lastEvent(successorRunId)).data).toMatchObject({
      predecessorRunId: runId,
      workspaceId: 'w1',
    });
  });
});

describe('every route', () => {
  it('lets nobody in without a token, with one of the other plane, or without the capability', async () => {
    for (const url of ['/operation-runs', '/operation-runs:batch', ...urlsFor('r')]) {
      const system = url.startsWith('/system');
      const plane = system ? 'admin' : 'system';
      expect((await app.post(url, {}, { token: null })).statusCode).toBe(401);
      expect((await app.post(url, {}, { token: { plane } })).data).toMatchObject({ code: 'wrong_plane' });
      // A batch asks for each command's own capability, and lets in whoever has one of them.
      const capabilities = url.endsWith(':batch')
        ? []
        : [url.includes('follow-up') ? ('runs.write' as const) : ('runs.triage' as const)];
      const bare = await app.post(url, {}, { token: system ? { plane: 'system' } : { capabilities } });
      expect([url, bare.statusCode, bare.data.code]).toEqual([url, 403, 'missing_capability']);
    }
  });

  it('answers 404 for a run that is not there', async () => {
    for (const url of urlsFor('nowhere')) {
      const answer = await app.post(url, bodyFor(url));
      expect([url, answer.statusCode, answer.data.code]).toEqual([url, 404, 'run_not_found']);
      expect(answer.headers['content-type']).toContain('application/problem+json');
      expect(answer.data).not.toHaveProperty('allowedActions');
      expect(answer.data).not.toHaveProperty('currentVersion');
    }
  });

  it('answers 404 for a run out of scope, exactly as for one that is not there', async () => {
    const there = await app.run();
    const token = {
      workspaces: [{ id: 'w1', tenants: ['t2'] }, { id: 'w2' }],
      capabilities: ['runs.write' as const, 'runs.triage' as const],
    };
    for (const headers of [{}, { 'if-match': '"9"' }, { 'idempotency-key': 'k' }])
      for (const route of WORKER_ROUTES) {
        const url = `/operation-runs/${there}/${route}`;
        const key = 'idempotency-key' in headers ? { 'idempotency-key': `${route}-hidden` } : {};
        const hidden = await app.post(url, bodyFor(url), { token, ...headers, ...key });
        const missingKey = 'idempotency-key' in headers ? { 'idempotency-key': `${route}-missing` } : {};
        const missing = await app.post(url.replace(there, 'nowhere'), bodyFor(url), {
          token,
          ...headers,
          ...missingKey,
        });
        expect(refusal(hidden)).toEqual(refusal(missing));
        expect(hidden.statusCode).toBe(404);
      }
    expect(await app.typesOf(there)).toEqual(['Queued']);
  });

  it('refuses unknown fields and wrong types, naming them', async () => {
    const runId = await app.run();
    for (const url of ['/operation-runs', ...urlsFor(runId)]) {
      const valid = url === '/operation-runs' ? { workspaceId: 'w1', type: 'sync' } : bodyFor(url);
      const answer = await app.post(url, { ...valid, surprise: 1 });
      expect([url, answer.statusCode, answer.data.code]).toEqual([url, 400, 'invalid_request']);
      expect(answer.body).toContain('surprise');
    }
    expect((await app.post(`/operation-runs/${runId}/complete`, {})).data).toMatchObject({
      errors: [{ path: 'outcome' }],
    });
    expect((await app.post(`/system/ops/runs/${runId}/mark-failed`, { reason: 4 })).statusCode).toBe(400);
    expect(
      (await app.post(`/operation-runs/${runId}/cancel`, 'x', { 'content-type': 'text/plain' })).statusCode,
    ).toBe(415);
    expect(await app.typesOf(runId)).toEqual(['Queued']);
  });
});

describe('a run with an event that cannot be read', () => {
  const spoil = (runId: string) =>
    app.store.append({
      streamId: streamOf(runId),
      expectedRevision: 0,
      events: [newEvent({ occurredAt: 'nonsense' })],
    });

  it('refuses commands with a reason, alone and in a batch, until an operator has dealt with it', async () => {
    const runId = await app.run();
    await spoil(runId);
    // What this process remembers of the run does not matter: the log has moved on.
    const alone = await app.post(`/operation-runs/${runId}/start`);
    expect(alone.statusCode).toBe(503);
    expect(alone.data).toMatchObject({ code: 'run_unreadable' });
    const batch = await app.post('/operation-runs:batch', { commands: [{ command: 'start', runId }] });
    expect(batch.data).toMatchObject({ results: [{ status: 503, code: 'run_unreadable' }] });
  });

  it('goes on without the event once it is discarded, and answers a repeat as the first time', async () => {
    const runId = await app.run();
    await spoil(runId);
    await app.pool.query(
      `insert into opstruth.discarded_events (stream_id, revision, actor, reason) values ($1, 1, 'olga', 'spoilt')`,
      [streamOf(runId)],
    );
    const commands = [{ command: 'start', runId, commandId: 'one' }];
    const started = await app.post('/operation-runs:batch', { commands });
    expect(started.data).toMatchObject({ results: [{ status: 200, version: 3, runStatus: 'running' }] });
    const again = await app.post('/operation-runs:batch', { commands });
    expect(again.data).toMatchObject({ results: [{ status: 200, version: 3, runStatus: 'running' }] });
    expect(await app.typesOf(runId)).toEqual(['Queued', 'Progressed', 'Started']);
  });

  it('or was discarded was told of to senders who may not see it', async () => {
    const discard = async (runId: string) => {
      await app.pool.query(
        `insert into opstruth.discarded_events (stream_id, revision, actor, reason) values ($1, 0, 'olga', 'spoilt')`,
        [streamOf(runId)],
      );
      await app.discarded.refresh();
    };
    const [healthy, spoilt, discarded] = [await app.run(), await app.run(), await app.run()];
    await spoil(spoilt);
    await discard(discarded);
    const nowhere = 'run-of-no-place';
    await app.store.append({
      streamId: streamOf(nowhere),
      expectedRevision: 'no_stream',
      events: [newEvent({ workspaceId: 7 })],
    });
    const grantedTo = (...workspaces: { id: string; tenants?: string[] }[]) => ({
      token: { workspaces, capabilities: ['runs.write' as const, 'runs.triage' as const] },
    });
    const [outsider, insider] = [grantedTo({ id: 'w1', tenants: ['t2'] }), grantedTo({ id: 'w1' })];
    const queue = (runId: string) => ({ runId, workspaceId: 'w1', tenantId: 't2', type: 'sync' });
    const answersFor = async (runId: string, by: object) => [
      ...(await Promise.all(
        WORKER_ROUTES.map((route) => `/operation-runs/${runId}/${route}`).map(async (url) =>
          refusal(await app.post(url, bodyFor(url), by)),
        ),
      )),
      refusal(await app.post('/operation-runs:batch', [{ command: 'start', runId }], by)).problem.results,
    ];
    const told = (answers: unknown[]) =>
      JSON.stringify(answers, (key, value: unknown) => (/^(instance|runId)$/.test(key) ? null : value));

    const missing = told(await answersFor('nowhere', outsider));
    for (const runId of [healthy, spoilt, discarded, nowhere]) {
      expect(told(await answersFor(runId, outsider))).toBe(missing);
      const taken = await app.post('/operation-runs', queue(runId), outsider);
      expect(refusal(taken)).toMatchObject({ statusCode: 409, problem: { detail: 'this run id is taken' } });
    }
    // Who may see it must not take its report for one that nobody wants.
    for (const [runId, status] of [
      [spoilt, 503],
      [discarded, 410],
    ] as const)
      expect((await app.post(`/operation-runs/${runId}/start`, {}, insider)).statusCode).toBe(status);
    expect((await app.post(`/operation-runs/${nowhere}/start`)).statusCode).toBe(503);
  });

  it('whose first event was discarded is gone, and was said to wait for an operator for ever', async () => {
    const runId = await app.run();
    await app.pool.query(
      `insert into opstruth.discarded_events (stream_id, revision, actor, reason) values ($1, 0, 'olga', 'spoilt')`,
      [streamOf(runId)],
    );
    await app.discarded.refresh();
    const queue = { runId, workspaceId: 'w1', type: 'sync' };
    for (const answer of [
      await app.post(`/operation-runs/${runId}/start`),
      await app.post('/operation-runs', queue),
    ])
      expect(answer).toMatchObject({ statusCode: 410, data: { code: 'run_discarded' } });
  });
});
