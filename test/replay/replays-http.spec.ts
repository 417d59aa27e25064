import { START } from '../../src/events/position';
import { openApiDocument } from '../../src/http/openapi';
import { liveGeneration } from '../../src/projector/generations';
import { createLease } from '../../src/projector/lease';
import { buildLease } from '../../src/replay/replay-status';
import { createReplaysApp, AS_OF, READER } from './replays-app';
import type { ReplaysApp } from './replays-app';

let app: ReplaysApp;
beforeEach(async () => (app = await createReplaysApp()));
afterEach(() => app.close());

const liveId = async () => (await liveGeneration(app.pool))!.id;

test('a plan leaves nothing behind, and its matrix is that of the diff after the build', async () => {
  const plan = await app.post('replays:plan', { policyVersion: app.stricter });
  expect(plan.statusCode).toBe(200);
  expect(plan.answer.data).toMatchObject({
    from: { generation: app.generation.id, policyVersion: app.generation.policyVersion },
    to: { policyVersion: app.stricter },
    madeBy: 'facts',
    asOf: AS_OF,
    estimatedSeconds: expect.any(Number) as number,
    assumedPerSecond: 6_000,
  });
  expect(await app.audited()).toEqual([]);

  const id = await app.start({ policyVersion: app.stricter });
  await app.build(id);
  const diff = await app.get(`replays/${id}/diff`);
  const { matrix, runs, changed, samples } = plan.answer.data!;
  expect(diff.answer.data).toMatchObject({ matrix, runs, changed });
  expect(changed).toBeGreaterThan(0);
  expect(samples).toEqual(
    expect.arrayContaining([expect.objectContaining({ because: expect.stringContaining('->') as string })]),
  );
  // A later present: the same two generations, judged then.
  const later = await app.get(`replays/${id}/diff?asOf=2026-01-02T00:00:00Z`);
  expect(later.answer.data).toMatchObject({ asOf: '2026-01-02T00:00:00.000Z', runs });
});

test('a start answers 202 with where to look, and the status tells state, work and rate until it is ready', async () => {
  const started = await app.post('replays', { policyVersion: app.stricter, reason: 'shorter limits' });
  expect(started.statusCode).toBe(202);
  const id = started.answer.data!.id as number;
  expect(started.headers.location).toBe(`/system/projections/replays/${id}`);
  const asked = { id, madeBy: 'facts', unit: 'runs', requestedBy: 'olga', reason: 'shorter limits' };
  expect(started.answer.data).toMatchObject({ ...asked, state: 'building', phase: 'loading', done: 0 });

  const total = started.answer.data!.total as number;
  await app.pool.query(
    `update opstruth.generations set runs_loaded = $2, phase_started_at = now() - interval '10 s' where id = $1`,
    [id, total / 2],
  );
  await createLease(app.pool, buildLease(id), 'a builder', 60).hold();
  const half = (await app.get(`replays/${id}`, READER)).answer.data!;
  expect(half).toMatchObject({ done: total / 2, total });
  expect(half.ratePerSecond as number).toBeCloseTo(total / 20, 0);
  expect(half.etaSeconds as number).toBeCloseTo(10, 0);

  await app.build(id);
  const ready = (await app.get(`replays/${id}`)).answer.data!;
  expect(ready).toMatchObject({ ...asked, state: 'ready', done: total, total, etaSeconds: null });
  expect(ready.ratePerSecond).toEqual(expect.any(Number));
  const { replays } = (await app.get('replays', READER)).answer.data as { replays: { id: number }[] };
  expect(replays).toMatchObject([{ id }, { id: app.generation.id, madeBy: 'first', state: 'live' }]);
});

test('a rebuild from the log counts events, and one until an instant says where it ends', async () => {
  const full = await app.start({ full: true });
  await app.build(full);
  const { events } = await app.store.pending(START, 1_000_000);
  expect((await app.get(`replays/${full}`)).answer.data).toMatchObject({
    madeBy: 'full',
    unit: 'events',
    done: events,
    total: events,
  });
  const past = await app.start({ until: '2026-01-01T00:10:00+00:00' });
  await app.build(past);
  const historical = (await app.get(`replays/${past}`)).answer.data!;
  expect(historical).toMatchObject({ state: 'ready', until: '2026-01-01T00:10:00.000Z' });
  expect(historical.done).toBeLessThan(events);
  const cut = await app.start({ until: '9.9' });
  expect((await app.get(`replays/${cut}`)).answer.data).toMatchObject({ until: '9.9' });
});

test('a cutover is a preview until it is applied, is refused with its objections, and can be taken back', async () => {
  const before = await liveId();
  const id = await app.start({ policyVersion: app.stricter });
  await app.build(id);
  const objections = [
    expect.stringMatching(/change class, more than 5 %/),
    expect.stringMatching(/go from terminal_follow_up to none, which is forbidden/),
  ];
  const preview = await app.post(`replays/${id}/cutover`);
  expect(preview.statusCode).toBe(200);
  expect(preview.answer.data).toMatchObject({ applied: false, from: before, to: id, objections });
  expect(preview.answer.data).toMatchObject({ comparison: { runs: expect.any(Number) as number } });

  const refused = await app.post(`replays/${id}/cutover`, { apply: true });
  expect(refused.statusCode).toBe(409);
  expect(refused.answer).toMatchObject({ code: 'cutover_refused', objections });
  for (const reason of [undefined, ' \n']) {
    const unreasoned = await app.post(`replays/${id}/cutover`, { apply: true, force: true, reason });
    expect(unreasoned.statusCode).toBe(422);
    expect(unreasoned.answer).toMatchObject({ code: 'reason_required' });
  }
  for (const reason of ['x'.repeat(501), 'a\u0000b', 'half \ud83d'])
    expect((await app.post('rollback', { reason })).statusCode).toBe(400);
  expect(await liveId()).toBe(before);

  const forced = { apply: true, force: true, reason: 'agreed with the tenants' };
  expect((await app.post(`replays/${id}/cutover`, forced)).answer.data).toMatchObject({ applied: true });
  expect(await liveId()).toBe(id);

  expect((await app.post('rollback', { apply: false })).answer.data).toEqual({
    applied: false,
    from: id,
    to: before,
    warnings: [],
  });
  expect(await liveId()).toBe(id);
  const back = await app.post('rollback', { reason: 'too loud' });
  expect(back.answer.data).toEqual({ applied: true, from: id, to: before, warnings: [] });
  expect(await liveId()).toBe(before);
  for (const apply of [false, true]) {
    const late = await app.post('rollback', { apply, from: id });
    expect(late.answer).toMatchObject({
      status: 409,
      code: 'wrong_state',
      detail: `generation ${id} is no longer live: ${before} is`,
    });
  }
  expect(await liveId()).toBe(before);

  expect((await app.post(`replays/${id}/retire`, { apply: false })).answer.data).toMatchObject({
    applied: false,
    replay: { state: 'standby' },
  });
  expect((await app.post(`replays/${id}/retire`)).answer.data).toMatchObject({
    applied: true,
    replay: { id, state: 'retired' },
  });
  // One entry for each of these that changed something; none for previews and refusals.
  expect(await app.audited()).toEqual([
    { actor: 'olga', action: 'replay.start', reason: null },
    { actor: 'olga', action: 'replay.cutover', reason: 'agreed with the tenants' },
    { actor: 'olga', action: 'replay.rollback', reason: 'too loud' },
    { actor: 'olga', action: 'replay.retire', reason: null },
  ]);
  const { entries } = (await app.get('audit-entries?limit=2', READER)).answer.data as { entries: object[] };
  expect(entries).toMatchObject([
    { action: 'replay.retire', generation: id },
    { action: 'replay.rollback', generation: before, details: { from: id } },
  ]);
});

test('the status of the projections does not break for good when a replay is aborted', async () => {
  const id = await app.start({ policyVersion: app.stricter });
  await app.build(id);
  const aborted = await app.post(`replays/${id}/abort`, { apply: true, reason: 'was a try' });
  expect(aborted.statusCode).toBe(200);
  const status = await app.get('');
  expect(status.statusCode).toBe(200);
  expect(status.answer.data!.generations).toMatchObject([{ generation: app.generation.id, state: 'live' }]);
});

test('a limit given with the request is the one that counts', async () => {
  const id = await app.start({ policyVersion: app.harmless });
  await app.build(id);
  const { answer } = await app.post(`replays/${id}/cutover`, { maxChangePercent: 0, apply: true });
  expect(answer.data).toMatchObject({ applied: true, objections: [], comparison: { changed: 0 } });
  expect((await app.post(`replays/${id}/cutover`, { maxChangePercent: 101 })).statusCode).toBe(400);
});

test('every step says what stands in its way', async () => {
  const told = async (path: string, body?: object) => {
    const { statusCode, answer } = await app.post(path, body);
    return [statusCode, answer.code];
  };
  expect(await told('rollback')).toEqual([409, 'wrong_state']);
  expect(await told('rollback', { apply: true })).toEqual([409, 'wrong_state']);
  expect(await told(`replays/${app.generation.id}/retire`)).toEqual([409, 'wrong_state']);
  expect(await told(`replays/${app.generation.id}/abort`, { apply: true })).toEqual([409, 'wrong_state']);
  expect(await told('replays', { policyVersion: 999 })).toEqual([422, 'unprocessable']);
  expect(await told('replays:plan', { classifierVersion: 999 })).toEqual([422, 'unprocessable']);
  expect(await told('replays', { until: 'yesterday' })).toEqual([400, 'invalid_request']);
  expect(await told('replays', { until: '2026-01-02T00:00:00Z' })).toEqual([422, 'unprocessable']);
  expect(await told('replays', { until: '99999999999999999999.0' })).toEqual([422, 'unprocessable']);
  expect(await told('replays', { policy: 1 })).toEqual([400, 'invalid_request']);

  const id = await app.start({ policyVersion: app.stricter });
  expect(await told('replays')).toEqual([409, 'replay_under_way']);
  expect(await told(`replays/${id}/cutover`)).toEqual([409, 'wrong_state']);
  expect((await app.get(`replays/${id}/diff`)).answer).toMatchObject({ status: 409, code: 'wrong_state' });
  await app.build(id);
  // Events that only the live generation has seen, and nobody can read: a switch would take readers back.
  const moveLive = (by: number) =>
    app.pool.query(
      `update opstruth.generations set checkpoint_commit = checkpoint_commit + $1 where state = 'live'`,
      [by],
    );
  await moveLive(1_000_000);
  expect(await told(`replays/${id}/cutover`, { apply: true, force: true, reason: 'x' })).toEqual([
    409,
    'not_caught_up',
  ]);
  await moveLive(-1_000_000);
  expect((await app.post(`replays/${id}/abort`, { apply: false })).answer.data).toMatchObject({
    applied: false,
  });
  expect((await app.post(`replays/${id}/abort`, { reason: 'no' })).answer.data).toMatchObject({
    applied: true,
    replay: { state: 'failed', failure: 'aborted by olga' },
  });
  for (const path of ['cutover', 'retire', 'abort'])
    expect(await told(`replays/999/${path}`)).toEqual([404, 'not_found']);
  for (const path of ['replays/999', 'replays/999/diff', 'replays/999/events', 'policies/999'])
    expect((await app.get(path)).statusCode).toBe(404);
  expect((await app.get('replays/latest')).statusCode).toBe(400);
});

test('a level generation of another version went live, and its summary answered 500', async () => {
  const before = await liveId();
  const id = await app.start({ policyVersion: app.harmless });
  await app.build(id);
  await app.post(`replays/${id}/cutover`, { apply: true });
  await app.pool.query(`update opstruth.generations set surfaces_digest = 'another' where id = $1`, [before]);
  for (const apply of [false, true])
    expect((await app.post('rollback', { apply })).answer).toMatchObject({
      status: 409,
      code: 'wrong_state',
      detail: expect.stringMatching(/run this step with the version that made it$/) as string,
    });
  expect(await liveId()).toBe(id);
});

test('without the capability nothing changes, on the other plane nothing is shown', async () => {
  const id = await app.start({ policyVersion: app.stricter });
  await app.build(id);
  const mutations = ['replays', 'replays:plan', 'policies', 'rollback'].concat(
    ['cutover', 'retire', 'abort'].map((step) => `replays/${id}/${step}`),
  );
  for (const path of mutations) {
    const { statusCode, answer } = await app.post(path, {}, READER);
    expect([path, statusCode, answer.code]).toEqual([path, 403, 'missing_capability']);
  }
  expect((await app.get(`replays/${id}/diff`, READER)).statusCode).toBe(403);
  const reads = ['replays', `replays/${id}`, `replays/${id}/events`].concat([
    'audit-entries',
    'policies',
    `policies/${app.stricter}`,
  ]);
  for (const path of reads) {
    expect([path, (await app.get(path, READER)).statusCode]).toEqual([path, 200]);
    const { statusCode, answer } = await app.get(path, { plane: 'admin' });
    expect([path, statusCode, answer.code]).toEqual([path, 403, 'wrong_plane']);
  }
});

test('OpenAPI has every route with its body and its answer', () => {
  const { paths } = openApiDocument(app.app);
  const at = (path: string) => paths[`/system/projections/${path}`] as Record<string, object>;
  expect(at('replays:plan').post).toMatchObject({ requestBody: {}, responses: { 200: {} } });
  expect(at('replays').post).toMatchObject({
    requestBody: {
      content: { 'application/json': { schema: { properties: { until: { type: 'string' } } } } },
    },
    responses: { 202: {}, 403: {} },
  });
  expect(at('replays/{id}/events').get).toMatchObject({
    parameters: [{ name: 'id', schema: { type: 'integer' } }],
    responses: { 200: { content: { 'text/event-stream': {} } } },
  });
  expect(at('replays/{id}/diff').get).toMatchObject({
    responses: { 409: { content: { 'application/problem+json': {} } } },
  });
  for (const path of [
    'replays/{id}/cutover',
    'rollback',
    'replays/{id}/retire',
    'replays/{id}/abort',
    'policies',
  ])
    expect(at(path).post).toMatchObject({ requestBody: {}, responses: { 415: {} } });
  for (const path of [
    'replays',
    'replays/{id}',
    'replays/{id}/diff',
    'audit-entries',
    'policies',
    'policies/{version}',
  ])
    expect(at(path).get).toMatchObject({ responses: { 200: { content: {} } } });
});
