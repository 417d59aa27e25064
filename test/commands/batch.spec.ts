import { randomUUID } from 'node:crypto';
import { batchAnswerSchema } from '../../src/commands/execute-batch.command';
import { streamOf } from '../../src/events/operation-run-events';
import { metadata } from '../domain/story';
import { NOW, ago, createCommandsApp } from './commands-app';
import type { Answer, CommandsApp } from './commands-app';

let app: CommandsApp;
beforeAll(async () => (app = await createCommandsApp()));
afterAll(() => app.close());
beforeEach(() => {
  app.clock.set(NOW);
  app.gate.beforeAppend = undefined;
});

type Item = Record<string, unknown>;
const URL = '/operation-runs:batch';
const batch = (commands: unknown[], options = {}) => app.post(URL, { commands }, options);
const resultsOf = (answer: Answer) => answer.data.results as Item[];
const newRun = () => `run-${randomUUID()}`;
const queue = (runId: string | undefined, more: Item = {}): Item => ({
  command: 'queue',
  runId,
  workspaceId: 'w1',
  type: 'sync',
  ...more,
});

it('answers each command as its own route would, in order', async () => {
  const [a, b] = [newRun(), newRun()];
  const answer = await batch([
    queue(a),
    queue(b),
    { command: 'start', runId: a },
    { command: 'complete', runId: b, outcome: 'failed', reason: 'no' },
    { command: 'start', runId: b },
    { command: 'progress', runId: a, summaryCounts: { n: 1 } },
    { command: 'resolve', runId: b, note: 'seen' },
    { command: 'reopen', runId: b },
    { command: 'cancel', runId: a, reason: 'no' },
    { command: 'cancel', runId: a },
    { command: 'start', runId: 'nowhere' },
  ]);
  expect(answer.statusCode).toBe(200);
  const results = resultsOf(answer);
  expect(results.map(({ status, result, code }) => [status, result ?? code])).toEqual([
    [201, 'applied'],
    [201, 'applied'],
    [200, 'applied'],
    [200, 'applied'],
    [409, 'illegal_transition'],
    [200, 'applied'],
    [200, 'applied'],
    [200, 'applied'],
    [200, 'applied'],
    [200, 'unchanged'],
    [404, 'run_not_found'],
  ]);
  expect(results[2]).toEqual({
    command: 'start',
    runId: a,
    version: 2,
    position: expect.any(String) as string,
    result: 'applied',
    status: 200,
    runStatus: 'running',
    outcome: 'pending',
    events: ['OperationRunStarted'],
  });
  expect(results[4]).toMatchObject({
    currentVersion: 2,
    currentOutcome: 'failed',
    title: expect.any(String) as string,
  });
  expect(await app.typesOf(a)).toEqual(['Queued', 'Started', 'Progressed', 'Completed']);
});

it('left it to counting which command a refusal was of', async () => {
  const { data } = await batch([
    { command: 'start', runId: 'nowhere' },
    { command: 'start', runId: '..' },
    { command: 'fly', runId: 7 },
    null,
  ]);
  expect((data as { results: object[] }).results).toEqual([
    expect.objectContaining({ command: 'start', runId: 'nowhere', code: 'run_not_found' }),
    expect.objectContaining({ command: 'start', runId: '..', code: 'invalid_request' }),
    expect.objectContaining({ command: 'fly', code: 'invalid_request' }),
    expect.objectContaining({ status: 400, code: 'invalid_request' }),
  ]);
});

it('had no word in its description on which status is that of the run', async () => {
  const { paths, components } = app.document();
  const items = [
    { $ref: '#/components/schemas/AcceptedBatchItem' },
    { $ref: '#/components/schemas/RefusedBatchItem' },
  ];
  expect(paths[URL]!.post!.responses[200]).toMatchObject({
    content: { 'application/json': { schema: { properties: { results: { items: { anyOf: items } } } } } },
  });
  const { AcceptedBatchItem } = components!.schemas as Record<string, object>;
  expect(AcceptedBatchItem).toMatchObject({
    properties: {
      status: { type: 'integer', description: expect.stringContaining('HTTP status') as string },
      runStatus: { enum: ['queued', 'running', 'completed'] },
    },
  });
  const { data } = await batch([queue('run-described'), { command: 'start', runId: 'nowhere' }]);
  expect(batchAnswerSchema.parse(data)).toEqual(data);
});

it('answers the newest position of its runs', async () => {
  const [a, b] = [newRun(), newRun()];
  const { data } = await batch([queue(a), queue(b), { command: 'start', runId: 'nowhere' }]);
  expect(data.position).toBe(await app.positionOf(b));
});

it('takes a bare list', async () => {
  const answer = await app.post(URL, [queue(undefined)]);
  expect(resultsOf(answer)).toMatchObject([{ status: 201, runId: expect.any(String) as string }]);
});

it('refuses what it cannot read, item by item, and executes the rest', async () => {
  const runId = newRun();
  const results = resultsOf(
    await batch([
      queue(runId),
      { command: 'explode', runId },
      { command: 'start', runId, surprise: 1 },
      { command: 'start' },
      'start',
      { command: 'start', runId, occurredAt: ago(-400) },
      { command: 'start', runId, occurredAt: '1969-12-31T23:59:59.999Z' },
      { command: 'complete', runId, outcome: 'failed', reasonCode: 'x'.repeat(101) },
      queue(newRun(), { context: { text: 'x'.repeat(20_000) } }),
      { command: 'start', runId },
    ]),
  );
  expect(results.map(({ status }) => status)).toEqual([201, 400, 400, 400, 400, 400, 400, 400, 400, 200]);
  for (const refused of results.slice(1, 9)) expect(refused).toMatchObject({ code: 'invalid_request' });
  expect(await app.typesOf(runId)).toEqual(['Queued', 'Started']);
});

describe('nested deeply', () => {
  const told = ({ statusCode, data }: Answer) => [statusCode, data.code];
  /** As text: what writes JSON cannot write that deep. */
  const batchNested = (levels: number, headers = {}) => {
    const good = JSON.stringify(queue(newRun()));
    const deep = good.replace(/}$/, `,"context":{"deep":${'['.repeat(levels)}${']'.repeat(levels)}}}`);
    return app.post(URL, `[${deep},${good}]`, { ...headers, 'content-type': 'application/json' });
  };

  it('was a failure of ours under a key, and not without one', async () => {
    const refused = [400, 'invalid_request'];
    expect(told(await batchNested(6_000, { 'idempotency-key': 'deep' }))).toEqual(refused);
    expect(told(await batchNested(6_000))).toEqual(refused);
  });

  it('as somebody may by mistake, a command is refused alone', async () => {
    const answer = await batchNested(400, { 'idempotency-key': 'not so deep' });
    expect(resultsOf(answer).map(({ status }) => status)).toEqual([400, 201]);
  });
});

it.each<[string, unknown]>([
  ['nothing', {}],
  ['no command', { commands: [] }],
  ['an empty list', []],
  ['a command too many', Array.from({ length: 1001 }, () => ({ command: 'start', runId: 'r' }))],
  ['another field', { commands: [{ command: 'start', runId: 'r' }], atomic: true }],
])('with %s is a 400', async (_name, body) => {
  const answer = await app.post(URL, body as object);
  expect([answer.statusCode, answer.data.code]).toEqual([400, 'invalid_request']);
});

it('does not know what If-Match would mean', async () => {
  expect((await batch([queue(newRun())], { 'if-match': '"1"' })).statusCode).toBe(400);
});

it('keeps to the scope of the token, command by command', async () => {
  const hidden = await app.run();
  const token = { workspaces: [{ id: 'w2' }], capabilities: ['runs.write' as const] };
  const results = resultsOf(
    await batch(
      [{ command: 'start', runId: hidden }, queue(newRun()), queue(newRun(), { workspaceId: 'w2' })],
      {
        token,
      },
    ),
  );
  expect(results.map(({ status, code }) => [status, code])).toEqual([
    [404, 'run_not_found'],
    [404, 'not_found'],
    [201, undefined],
  ]);
});

it('takes a thousand commands of more than a megabyte in one append', async () => {
  const commands = Array.from({ length: 500 }, newRun).flatMap((runId) => [
    queue(runId, { context: { text: 'x'.repeat(3000) } }),
    { command: 'complete', runId, outcome: 'succeeded' },
  ]);
  app.calls.appendMany = 0;
  const answer = await batch(commands);
  expect(answer.statusCode).toBe(200);
  expect(resultsOf(answer).every(({ result }) => result === 'applied')).toBe(true);
  expect(app.calls.appendMany).toBe(1);
});

it('has a body limit of its own', async () => {
  const tooLarge = { commands: [queue(newRun(), { type: 'x'.repeat(8 * 1024 * 1024) })] };
  expect((await app.post(URL, tooLarge)).data).toMatchObject({ status: 413, code: 'payload_too_large' });
  const elsewhere = await app.post('/operation-runs', { type: 'x'.repeat(1024 * 1024) });
  expect(elsewhere.statusCode).toBe(413);
});

describe('sent again', () => {
  /** Positions cover all that a batch wrote to a run at once; a command found later answers its own. */
  const placeless = (answer: Answer) => resultsOf(answer).map(({ position: _position, ...rest }) => rest);

  it('under its key gets the same answer', async () => {
    const runId = newRun();
    const commands = [queue(runId), { command: 'progress', runId }, { command: 'explode' }];
    const first = await batch(commands, { 'idempotency-key': 'whole' });
    const again = await batch(commands, { 'idempotency-key': 'whole' });
    expect(again.body).toBe(first.body);
    expect(again.headers['idempotency-replayed']).toBe('true');
    await app.pool.query("update opstruth.idempotency_keys set status = null where key = 'whole'");
    const recovered = await batch(commands, { 'idempotency-key': 'whole' });
    expect(placeless(recovered).slice(0, 2)).toEqual(placeless(first).slice(0, 2));
    expect(await app.typesOf(runId)).toEqual(['Queued', 'Progressed']);
  });

  it('executes no command twice that has a name', async () => {
    const runId = newRun();
    const named = [queue(runId, { commandId: 'q' }), { command: 'progress', runId, commandId: 'p1' }];
    const first = await batch(named);
    const more = await batch([...named, { command: 'progress', runId, commandId: 'p2' }, named[1]]);
    expect(placeless(more).slice(0, 2)).toEqual(placeless(first));
    expect(resultsOf(more)[3]).toEqual(resultsOf(first)[1]);
    expect(await app.typesOf(runId)).toEqual(['Queued', 'Progressed', 'Progressed']);
  });

  it('executes a command whose name another caller has used, or the same caller on another run', async () => {
    const [a, b] = [newRun(), newRun()];
    const beat = (runId: string) => ({ command: 'progress', runId, commandId: 'beat' });
    await batch([queue(a), queue(b)]);
    const bob = { token: { subject: 'bob', capabilities: ['runs.write' as const] } };
    for (const options of [{}, bob])
      for (const runId of [a, b])
        expect(resultsOf(await batch([beat(runId)], options))).toMatchObject([{ result: 'applied' }]);
    await batch([beat(a), beat(b)]);
    for (const runId of [a, b])
      expect(await app.typesOf(runId)).toEqual(['Queued', 'Progressed', 'Progressed']);
  });

  it('after a failure of ours is executed where it was not', async () => {
    const [broken, sound] = [newRun(), newRun()];
    await app.store.append({
      streamId: streamOf(broken),
      expectedRevision: 'no_stream',
      events: [{ eventId: randomUUID(), type: 'OperationRunExploded', data: {}, metadata }],
    });
    const commands = [{ command: 'start', runId: broken }, queue(sound)];
    const first = await batch(commands, { 'idempotency-key': 'partly' });
    expect(resultsOf(first)).toMatchObject([{ status: 503, code: 'run_unreadable' }, { status: 201 }]);
    expect(first.body).not.toContain('Exploded');
    expect(app.log()).toContainEqual(
      expect.objectContaining({ runId: broken, msg: 'a command of a batch failed' }),
    );
    const again = await batch(commands, { 'idempotency-key': 'partly' });
    expect(again.headers).not.toHaveProperty('idempotency-replayed');
    expect(resultsOf(again)).toMatchObject([{ status: 503 }, { status: 201, version: 1 }]);
    expect(await app.typesOf(sound)).toEqual(['Queued']);
  });
});
