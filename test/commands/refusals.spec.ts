import { NOW, ago, createCommandsApp, refusal } from './commands-app';
import type { CommandsApp } from './commands-app';

let app: CommandsApp;
beforeAll(async () => (app = await createCommandsApp()));
afterAll(() => app.close());
beforeEach(() => app.clock.set(NOW));

const reconciled = { reason: 'the host is gone' };

describe('a refusal for the state of the run', () => {
  const expected = (code: string, more: object) => ({
    statusCode: 409,
    problem: { code, status: 409, ...more },
  });
  const triage = async (runId: string, action: string, body: object = {}) =>
    refusal(await app.post(`/system/ops/runs/${runId}/${action}`, body));

  it('says what the state is and what it allows', async () => {
    const runId = await app.run({}, ['complete', { outcome: 'failed' }]);
    const answer = await app.post(`/operation-runs/${runId}/start`);
    expect(refusal(answer)).toEqual({
      statusCode: 409,
      problem: {
        type: 'urn:opstruth:problem:illegal_transition',
        title: 'The run cannot do this in its present state',
        status: 409,
        code: 'illegal_transition',
        detail: `cannot start run ${runId}: it is completed (failed)`,
        currentVersion: 2,
        currentStatus: 'completed',
        currentOutcome: 'failed',
        // From where on every surface shows what the refusal speaks of.
        position: await app.positionOf(runId),
        allowedActions: ['resolve'],
      },
    });
    expect(answer.headers['content-type']).toContain('application/problem+json');
  });

  it('has a code for each reason', async () => {
    const active = await app.run();
    expect(await triage(active, 'mark-failed', reconciled)).toMatchObject(
      expected('not_stale', {
        currentVersion: 1,
        allowedActions: ['cancel'],
      }),
    );
    expect(await triage(active, 'retry')).toMatchObject(expected('illegal_transition', {}));
    expect(await triage(active, 'mark-investigated')).toMatchObject(expected('nothing_to_follow_up', {}));
    const imported = await app.run({ type: 'import' }, ['complete', { outcome: 'failed' }]);
    expect(await triage(imported, 'retry')).toMatchObject(
      expected('not_retryable', { allowedActions: ['mark-investigated'] }),
    );
    const failed = await app.run(
      {},
      ['complete', { outcome: 'failed' }],
      ['/system/ops/runs/{runId}/retry', {}],
    );
    expect(await triage(failed, 'retry')).toMatchObject(
      expected('successor_active', { currentVersion: 3, allowedActions: ['mark-investigated'] }),
    );
  });

  it('is a 422 when all that is missing is a reason', async () => {
    const runId = await app.run({ occurredAt: ago(700) });
    for (const body of [{}, { reason: null }, { reason: ' \n ' }])
      expect(await triage(runId, 'mark-failed', body)).toMatchObject({
        statusCode: 422,
        problem: { code: 'reason_required', currentVersion: 1, currentStatus: 'queued' },
      });
    await app.post(`/system/ops/runs/${runId}/mark-failed`, reconciled);
    expect(await triage(runId, 'retry')).toMatchObject({
      statusCode: 422,
      problem: { code: 'reason_required' },
    });
  });
});

describe('If-Match', () => {
  const start = (runId: string, tag: string) =>
    app.post(`/operation-runs/${runId}/start`, {}, { 'if-match': tag });

  it('of another version is a 412 that says which one there is', async () => {
    const runId = await app.run();
    for (const tag of ['"2"', '"0"', '"other"'])
      expect(refusal(await start(runId, tag))).toMatchObject({
        statusCode: 412,
        problem: { code: 'precondition_failed', currentVersion: 1 },
      });
    expect(await app.typesOf(runId)).toEqual(['Queued']);
  });

  it('with the ETag of a page, which is no version, was a 412 that did not say what to send', async () => {
    const answer = await start(await app.run(), '"q0qMfR2OPV5cnnAtJcYbIYzFbS0"');
    expect(answer.data).toMatchObject({
      status: 412,
      detail:
        "the run is at version 1; If-Match takes a version in quotes, as a command's ETag or `data.version` gave it",
    });
    const { parameters } = app.document().paths['/operation-runs/{runId}/start']!.post!;
    expect(parameters).toContainEqual(
      expect.objectContaining({
        name: 'If-Match',
        description: expect.stringContaining("as a command's ETag or `data.version` gave it") as string,
      }),
    );
  });

  it.each(['"1"', 'W/"1"', '*', ' "1" ', '1'])('%j lets version 1 through', async (tag) => {
    expect((await start(await app.run(), tag)).statusCode).toBe(200);
  });

  it.each(['-1', '"1", "2"', '', '"1', 'one'])('%j is a 400', async (tag) => {
    expect((await start(await app.run(), tag)).statusCode).toBe(400);
  });

  it('guards an operator and a queueing too', async () => {
    const runId = await app.run({ occurredAt: ago(700) });
    const failed = await app.post(`/system/ops/runs/${runId}/mark-failed`, reconciled, { 'if-match': '"4"' });
    expect(failed.statusCode).toBe(412);
    const queued = { runId: 'if-matched', workspaceId: 'w1', type: 'sync' };
    expect((await app.post('/operation-runs', queued, { 'if-match': '"1"' })).statusCode).toBe(412);
  });
});

it('a run that others keep writing to is a 503 that invites to come again', async () => {
  const runId = await app.run();
  const rival = app.executor();
  let inside = false;
  app.gate.beforeAppend = async () => {
    if (inside) return;
    inside = true;
    const command = { kind: 'progress', at: NOW, summaryCounts: null } as const;
    const commandId = `rival-${Math.random()}`;
    await rival.execute({ runId, command, commandId, actor: 'a', plane: 'admin', correlationId: 'c' });
    inside = false;
  };
  const answer = await app.post(`/operation-runs/${runId}/progress`);
  app.gate.beforeAppend = undefined;
  expect([answer.statusCode, answer.data.code, answer.headers['retry-after']]).toEqual([
    503,
    'not_ready',
    '1',
  ]);
});

it('told what is wrong with a command in the words of a library, and of an empty text two things', async () => {
  const body = { tenantId: 5, type: '', summaryCounts: { a: 'x' }, runId: 'x'.repeat(201) };
  const { data } = await app.post('/operation-runs', body);
  expect(data.errors).toEqual(
    expect.arrayContaining([
      { path: 'workspaceId', message: 'is missing' },
      { path: 'tenantId', message: 'must be a string' },
      { path: 'type', message: 'must not be empty' },
      { path: 'summaryCounts.a', message: 'must be a number' },
      { path: 'runId', message: 'must have at most 200 characters' },
    ]),
  );
  expect(data.errors).toHaveLength(5);
  const batch = await app.post('/operation-runs:batch', { commands: [] });
  expect(batch.data.detail).toBe('commands: must not be empty');
});
