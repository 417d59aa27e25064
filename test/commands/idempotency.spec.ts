import { IdempotencyKeys } from '../../src/commands/idempotency';
import { streamOf } from '../../src/events/operation-run-events';
import { NOW, ago, createCommandsApp } from './commands-app';
import type { Answer, CommandsApp } from './commands-app';

let app: CommandsApp;
beforeAll(async () => (app = await createCommandsApp()));
afterAll(() => app.close());
beforeEach(() => {
  app.clock.set(NOW);
  app.gate.beforeAppend = undefined;
});

let last = 0;
const newKey = () => `key-${++last}`;
const keyed = (key: string) => ({ 'idempotency-key': key });
const told = ({ statusCode, body, headers }: Answer) => ({ statusCode, body, etag: headers.etag });
const isReplay = ({ headers }: Answer) => headers['idempotency-replayed'] === 'true';

/** As a crash leaves it: the command has been executed, its answer never kept. */
const loseAnswer = (key: string) =>
  app.pool.query('update opstruth.idempotency_keys set status = null, response = null where key = $1', [key]);

function expectReplay(first: Answer, again: Answer): void {
  expect(told(again)).toEqual(told(first));
  expect([isReplay(first), isReplay(again)]).toEqual([false, true]);
}

describe('the same request under the same key', () => {
  it('gets the same answer to the letter, and acts once', async () => {
    const runId = await app.run();
    const key = newKey();
    const first = await app.post(
      `/operation-runs/${runId}/progress`,
      { summaryCounts: { a: 1 } },
      keyed(key),
    );
    await app.post(`/operation-runs/${runId}/complete`, { outcome: 'failed' });
    app.clock.advance(60);
    const again = await app.post(
      `/operation-runs/${runId}/progress`,
      { summaryCounts: { a: 1 } },
      keyed(key),
    );
    expect(first.statusCode).toBe(200);
    expectReplay(first, again);
    expect(await app.typesOf(runId)).toEqual(['Queued', 'Progressed', 'Completed']);
  });

  it('queues one run, also when it names none', async () => {
    const key = newKey();
    const body = { workspaceId: 'w1', type: 'sync' };
    const first = await app.post('/operation-runs', body, keyed(key));
    expect(first.statusCode).toBe(201);
    expectReplay(first, await app.post('/operation-runs', body, keyed(key)));
    await loseAnswer(key);
    const recovered = await app.post('/operation-runs', body, keyed(key));
    expect(told(recovered)).toEqual(told(first));
  });

  it('gets its refusal again, though by now it would be accepted', async () => {
    const runId = await app.run();
    const key = newKey();
    const url = `/system/ops/runs/${runId}/mark-failed`;
    const first = await app.post(url, { reason: 'lost' }, keyed(key));
    expect([first.statusCode, first.data.code]).toEqual([409, 'not_stale']);
    app.clock.advance(700);
    const again = await app.post(url, { reason: 'lost' }, keyed(key));
    expectReplay(first, again);
    expect(again.headers['content-type']).toContain('application/problem+json');
    expect((await app.post(url, { reason: 'lost' }, keyed(newKey()))).statusCode).toBe(200);
  });

  it('retries a run once: the same key, the same successor', async () => {
    const runId = await app.run({}, ['complete', { outcome: 'failed' }]);
    const key = newKey();
    const first = await app.post(`/system/ops/runs/${runId}/retry`, {}, keyed(key));
    expect(first.statusCode).toBe(200);
    expectReplay(first, await app.post(`/system/ops/runs/${runId}/retry`, {}, keyed(key)));
    await loseAnswer(key);
    const recovered = await app.post(`/system/ops/runs/${runId}/retry`, {}, keyed(key));
    expect(told(recovered)).toEqual(told(first));
  });

  it('many times at once acts once', async () => {
    const runId = await app.run();
    const key = newKey();
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => app.post(`/operation-runs/${runId}/progress`, {}, keyed(key))),
    );
    expect(new Set(answers.map((answer) => JSON.stringify(told(answer)))).size).toBe(1);
    expect(await app.typesOf(runId)).toEqual(['Queued', 'Progressed']);
  });
});

describe('a crash', () => {
  it('between the append and the answer is not felt: the command is found and answered as it was', async () => {
    const runId = await app.run();
    const key = newKey();
    const first = await app.post(`/operation-runs/${runId}/start`, {}, keyed(key));
    await loseAnswer(key);
    await app.post(`/operation-runs/${runId}/complete`, { outcome: 'succeeded' });
    const again = await app.post(`/operation-runs/${runId}/start`, {}, keyed(key));
    expect(told(again)).toEqual(told(first));
    expect(isReplay(again)).toBe(false);
    expectReplay(first, await app.post(`/operation-runs/${runId}/start`, {}, keyed(key)));
    expect(await app.typesOf(runId)).toEqual(['Queued', 'Started', 'Completed']);
  });

  it('before the append is a 500 that is not kept', async () => {
    const runId = await app.run();
    const key = newKey();
    app.gate.beforeAppend = () => Promise.reject(new Error('disk full'));
    expect((await app.post(`/operation-runs/${runId}/start`, {}, keyed(key))).statusCode).toBe(500);
    app.gate.beforeAppend = undefined;
    const again = await app.post(`/operation-runs/${runId}/start`, {}, keyed(key));
    expect([again.statusCode, isReplay(again)]).toEqual([200, false]);
  });

  it('long after its key was forgotten is still the same command', async () => {
    const runId = await app.run();
    const key = newKey();
    const first = await app.post(`/operation-runs/${runId}/progress`, {}, keyed(key));
    expect(await new IdempotencyKeys(app.pool).forget('2999-01-01T00:00:00.000Z')).toBeGreaterThan(0);
    expect(told(await app.post(`/operation-runs/${runId}/progress`, {}, keyed(key)))).toEqual(told(first));
    expect(await app.typesOf(runId)).toEqual(['Queued', 'Progressed']);
  });
});

describe('a forgotten key', () => {
  const forget = () => new IdempotencyKeys(app.pool).forget('2999-01-01T00:00:00.000Z');

  it('answered another command with an old answer, and executed nothing', async () => {
    const runId = await app.run();
    const key = newKey();
    const progress = (counts: object) =>
      app.post(`/operation-runs/${runId}/progress`, { summaryCounts: counts }, keyed(key));
    const first = await progress({ a: 1 });
    await forget();
    expect((await progress({ a: 2 })).data.version).toBe(3);
    await forget();
    expect(told(await progress({ a: 1 }))).toEqual(told(first));
    expect(await app.typesOf(runId)).toEqual(['Queued', 'Progressed', 'Progressed']);
  });

  it('queued no second run, and answered the first', async () => {
    const key = newKey();
    const first = await app.post('/operation-runs', { workspaceId: 'w1', type: 'sync' }, keyed(key));
    await forget();
    const other = await app.post('/operation-runs', { workspaceId: 'w1', type: 'backup' }, keyed(key));
    expect([other.statusCode, other.data.runId === first.data.runId]).toEqual([201, false]);
  });

  it("executed no command of another batch, and named another run's successor", async () => {
    const key = newKey();
    const runs = [
      await app.run({}, ['complete', { outcome: 'failed' }]),
      await app.run({}, ['complete', { outcome: 'failed' }]),
    ];
    const batch = (counts: object) =>
      app.post(
        '/operation-runs:batch',
        [{ command: 'queue', workspaceId: 'w1', type: 'sync', summaryCounts: counts }],
        keyed(`${key}-batch`),
      );
    const positions: unknown[] = [];
    const successors: unknown[] = [];
    for (const [n, runId] of runs.entries()) {
      positions.push((await batch({ n })).data.position);
      const retried = await app.post(`/system/ops/runs/${runId}/retry`, {}, keyed(key));
      successors.push(retried.data.successorRunId);
      await forget();
    }
    expect([new Set(positions).size, new Set(successors).size]).toEqual([2, 2]);
  });
});

describe('the same key', () => {
  const reused = (answer: Answer) => [answer.statusCode, answer.data.code];
  const refused = [422, 'idempotency_key_reused'];

  it('for another body, path or version is refused', async () => {
    const [runId, otherId] = [await app.run(), await app.run()];
    const key = newKey();
    const url = `/operation-runs/${runId}/progress`;
    await app.post(url, {}, keyed(key));
    expect(reused(await app.post(url, { summaryCounts: { a: 1 } }, keyed(key)))).toEqual(refused);
    expect(reused(await app.post(url.replace(runId, otherId), {}, keyed(key)))).toEqual(refused);
    expect(reused(await app.post(url, {}, { ...keyed(key), 'if-match': '"1"' }))).toEqual(refused);
  });

  it('for the same members in another order, or an empty body in place of none, was refused', async () => {
    const key = newKey();
    const first = await app.post('/operation-runs', { workspaceId: 'w1', type: 'sync' }, keyed(key));
    expectReplay(first, await app.post('/operation-runs', { type: 'sync', workspaceId: 'w1' }, keyed(key)));
    const start = `/operation-runs/${String(first.data.runId)}/start`;
    const without = await app.post(start, undefined, keyed(`${key}-start`));
    expectReplay(without, await app.post(start, {}, keyed(`${key}-start`)));
  });

  it('with a token that was renewed with other grants was refused as another request', async () => {
    const runId = await app.run();
    const key = newKey();
    const url = `/operation-runs/${runId}/progress`;
    const capabilities = ['runs.write' as const];
    const granted = (...workspaces: { id: string; tenants?: string[] }[]) => ({
      ...keyed(key),
      token: { workspaces, capabilities },
    });
    const both = (one: string, other: string) => granted({ id: 'w1', tenants: [one, other] });
    const first = await app.post(url, {}, both('t1', 't2'));
    expect(first.statusCode).toBe(200);
    expectReplay(first, await app.post(url, {}, both('t2', 't1')));
    expectReplay(first, await app.post(url, {}, granted({ id: 'w1' }, { id: 'w2' })));
    // What may see less is not shown what was answered.
    for (const less of [granted({ id: 'w2' }), granted({ id: 'w1', tenants: ['t1'] })])
      expect(reused(await app.post(url, {}, less))).toEqual(refused);
    expect(await app.typesOf(runId)).toEqual(['Queued', 'Progressed']);

    const whole = newKey();
    await app.post(url, {}, { ...granted({ id: 'w1' }), ...keyed(whole) });
    const ofTenant = { ...granted({ id: 'w1', tenants: ['t1'] }), ...keyed(whole) };
    expect(reused(await app.post(url, {}, ofTenant))).toEqual(refused);

    // A refusal stays one, whatever the renewed token.
    const late = newKey();
    const ifMatch = (...grants: { id: string; tenants?: string[] }[]) => ({
      ...granted(...grants),
      ...keyed(late),
      'if-match': '"1"',
    });
    const stale = await app.post(url, {}, ifMatch({ id: 'w1' }));
    expect(stale.statusCode).toBe(412);
    expectReplay(stale, await app.post(url, {}, ifMatch({ id: 'w1' }, { id: 'w2' })));
  });

  it('of before an upgrade was refused as another request', async () => {
    const runId = await app.run();
    const key = newKey();
    const url = `/operation-runs/${runId}/progress`;
    const first = await app.post(url, {}, keyed(key));
    // As older versions have written it: the digest was made of the grants as well.
    await app.pool.query(
      `update opstruth.idempotency_keys set request_digest = 'older', scope = null where key = $1`,
      [key],
    );
    expect(told(await app.post(url, {}, keyed(key)))).toEqual(told(first));
    expect(await app.typesOf(runId)).toEqual(['Queued', 'Progressed']);
  });

  it('of another caller is another key', async () => {
    const runId = await app.run();
    const key = newKey();
    const bob = { subject: 'bob', capabilities: ['runs.write' as const] };
    const url = `/operation-runs/${runId}/progress`;
    const hers = await app.post(url, {}, keyed(key));
    const his = await app.post(url, {}, { ...keyed(key), token: bob });
    expect([hers.data.version, his.data.version, isReplay(his)]).toEqual([2, 3, false]);
  });

  it('of the other plane is another key, though both callers have one name', async () => {
    const runId = await app.run({}, ['complete', { outcome: 'failed' }]);
    const key = newKey();
    // The operator of the system plane is called so as well.
    const olga = { subject: 'olga', capabilities: ['runs.write' as const] };
    const body = { workspaceId: 'w1', type: 'sync' };
    const queued = await app.post('/operation-runs', body, { ...keyed(key), token: olga });
    const retried = await app.post(`/system/ops/runs/${runId}/retry`, {}, keyed(key));
    expect([queued.statusCode, retried.statusCode]).toEqual([201, 200]);
  });

  it('first used by a token that sees less, which met a failure of ours, does not show it what another was answered', async () => {
    const runIds = [await app.run(), await app.run({ workspaceId: 'w2' })];
    const key = newKey();
    const commands = runIds.map((runId) => ({ command: 'start', runId }));
    const ask = (...ids: string[]) => {
      const token = { workspaces: ids.map((id) => ({ id })), capabilities: ['runs.write' as const] };
      return app.post('/operation-runs:batch', commands, { ...keyed(key), token });
    };
    app.gate.beforeAppend = () => Promise.reject(new Error('disk full'));
    expect((await ask('w1')).statusCode).toBe(500);
    app.gate.beforeAppend = undefined;
    expect((await ask('w1', 'w2')).statusCode).toBe(200);
    expect(reused(await ask('w1'))).toEqual(refused);
  });

  it('may be used again after a request that never became a command', async () => {
    const runId = await app.run();
    const key = newKey();
    const url = `/operation-runs/${runId}/complete`;
    expect((await app.post(url, { outcome: 'fine' }, keyed(key))).statusCode).toBe(400);
    expect((await app.post(url, { outcome: 'failed', occurredAt: ago(-900) }, keyed(key))).statusCode).toBe(
      400,
    );
    expect((await app.post(url, { outcome: 'failed' }, keyed(key))).statusCode).toBe(200);
  });

  it.each(['', 'k'.repeat(201)])('may not be %j', async (key) => {
    const answer = await app.post('/operation-runs', { workspaceId: 'w1', type: 'sync' }, keyed(key));
    expect([answer.statusCode, answer.data.errors]).toMatchObject([400, [{ path: 'Idempotency-Key' }]]);
  });
});

it('of two answers that were given side by side the first stays', async () => {
  const keys = new IdempotencyKeys(app.pool);
  const asked = { subject: 'admin:ann', key: newKey(), content: [], scope: { kind: 'everything' } as const };
  await keys.reserve(asked);
  for (const nth of [1, 2]) await keys.keep(asked, { status: 200, response: { nth } });
  expect(await keys.reserve(asked)).toEqual({
    kind: 'answered',
    answer: { status: 200, response: { nth: 1 } },
  });
});

it('without a key every request acts', async () => {
  const runId = await app.run();
  await app.post(`/operation-runs/${runId}/progress`);
  await app.post(`/operation-runs/${runId}/progress`);
  const events = await app.store.readStream(streamOf(runId));
  expect(events.map(({ type }) => type)).toHaveLength(3);
});
