import { streamOf } from '../../src/events/operation-run-events';
import { discardAs, mendableIn, retryAs } from '../../src/replay/parked-actions';
import { dumpGeneration } from '../support/projection';
import { queuedData } from '../support/queue-command';
import { createReplaysApp, READER } from './replays-app';
import type { ReplaysApp } from './replays-app';

let app: ReplaysApp;
beforeEach(async () => (app = await createReplaysApp()));
afterEach(() => app.close());

test('a stream that is parked in the new generation only is shown and dealt with before the cutover', async () => {
  const id = await app.start({});
  await app.build(id);
  await app.writeRaw('bad', 0, 'OperationRunStarted', { occurredAt: 42 });
  await app.catchUp({ ...app.generation, id });
  const other = app.generation.id;
  expect((await app.get('parked')).answer.data).toEqual({ streams: [] });
  const there = (await app.get(`parked?generation=${id}`)).answer.data;
  expect(there).toMatchObject({ streams: [{ runId: 'bad', revision: 0 }] });
  for (const query of ['generations=1', 'generation=x'])
    expect((await app.get(`parked?${query}`)).statusCode).toBe(400);
  expect((await app.get('parked?generation=999')).statusCode).toBe(404);

  expect((await app.post('parked/bad/retry', { generation: other })).statusCode).toBe(404);
  const again = await app.post('parked/bad/retry', { generation: id });
  expect(again.answer.data).toMatchObject({ kind: 'parked_again' });
  // However it is asked for, on the command line as well.
  const { generation, parkedContext } = await mendableIn(app.context, id);
  await expect(
    discardAs({ actor: 'olga', reason: '  ' }, generation, streamOf('bad'), parkedContext),
  ).rejects.toMatchObject({ code: 'reason_required' });
  const reason = 'never started';
  expect((await app.post('parked/bad/discard', { generation: id, reason })).answer.data).toMatchObject({
    applied: false,
    wouldDiscard: { runId: 'bad', revision: 0 },
  });
  const discarded = await app.post('parked/bad/discard', { generation: id, reason, apply: true });
  expect(discarded.answer.data).toMatchObject({ applied: true, kind: 'cleared' });
  expect((await app.get(`parked?generation=${id}`)).answer.data).toEqual({ streams: [] });
});

test('what was discarded in the live generation stayed parked in the standby, to which a rollback goes', async () => {
  const id = await app.start({ policyVersion: app.harmless });
  await app.build(id);
  await app.post(`replays/${id}/cutover`, { apply: true });
  await app.writeRaw('bad', 0, 'OperationRunStarted', { occurredAt: 42 });
  for (const generation of [id, app.generation.id]) await app.catchUp({ ...app.generation, id: generation });
  const parked = async () =>
    Promise.all(
      [id, app.generation.id].map(
        async (one) => (await app.get(`parked?generation=${one}`)).answer.data!.streams as object[],
      ),
    );
  expect((await parked()).map(({ length }) => length)).toEqual([1, 1]);
  await app.post('parked/bad/discard', { reason: 'never queued', apply: true });
  expect(await parked()).toEqual([[], []]);
});

test('what was retried in the live generation stayed parked in the standby; what fails there is told beside what was done', async () => {
  const id = await app.start({ policyVersion: app.harmless });
  await app.build(id);
  await app.post(`replays/${id}/cutover`, { apply: true });
  await app.writeRaw('bad', 0, 'OperationRunStarted', { occurredAt: 42 });
  const both = [id, app.generation.id];
  for (const generation of both) await app.catchUp({ ...app.generation, id: generation });
  const parked = async () =>
    Promise.all(both.map(async (one) => (await app.get(`parked?generation=${one}`)).answer.data!.streams));
  expect(await parked()).toMatchObject([[{ runId: 'bad' }], [{ runId: 'bad' }]]);

  const { generation, parkedContext } = await mendableIn(app.context, id);
  const { store } = parkedContext;
  // As mended code reads it.
  const data = queuedData('2026-01-01T00:00:00.000Z');
  let reads = 0;
  const mended = (readsAtMost: number) => ({
    ...parkedContext,
    store: {
      ...store,
      async readStream(...asked: Parameters<typeof store.readStream>) {
        if (++reads > readsAtMost) throw new Error('the log is away');
        const events = await store.readStream(...asked);
        return events.map((event) => ({ ...event, type: 'OperationRunQueued', data }));
      },
    },
  });
  const operator = { actor: 'olga', reason: null };
  expect(await retryAs(operator, generation, streamOf('bad'), mended(1))).toEqual({
    kind: 'cleared',
    events: 1,
    failedElsewhere: [`generation ${app.generation.id}: the log is away`],
  });
  expect(await parked()).toMatchObject([[], [{ runId: 'bad' }]]);
  expect(await retryAs(operator, generation, streamOf('bad'), mended(9))).toEqual({ kind: 'not_parked' });
  expect(await parked()).toEqual([[], []]);
  // Each by its own policy, of which one lets nothing be retried; what most runs can be is left out.
  for (const [schema, retryable] of [
    [app.generation.schema, null],
    [generation.schema, false],
  ] as const) {
    const select = `select run->'retryable' as retryable from ${schema}.run_facts where run_id = 'bad'`;
    expect((await app.pool.query(select)).rows).toEqual([{ retryable }]);
  }
});

test("a parked stream that is no run's could not be named, so that nobody could clear it", async () => {
  const own = await createReplaysApp('postgres');
  const { rows } = await own.pool.query<{ run_id: string }>(
    `select run_id from ${own.generation.schema}.run_facts order by run_id limit 1`,
  );
  // All but the name of a run's stream: what is done to it must not reach that run.
  const streamId = `operation-run-${rows[0]!.run_id}`;
  const before = await dumpGeneration(own.pool, own.generation.schema);
  await own.writeForeign(streamId, 2);
  expect((await own.get('parked')).answer.data).toEqual({
    streams: [
      expect.objectContaining({
        streamId,
        runId: null,
        revision: 0,
        eventType: 'OrderPlaced',
        cause: expect.stringContaining('not of an operation run') as string,
        events: 2,
      }),
    ],
  });
  expect((await own.post(`parked/${rows[0]!.run_id}/retry`)).statusCode).toBe(404);
  const path = `parked/streams/${streamId}`;
  expect((await own.post(`${path}/retry`, {}, READER)).statusCode).toBe(403);
  expect((await own.post('parked/streams/elsewhere/retry')).answer).toMatchObject({
    status: 404,
    detail: 'stream elsewhere is not parked',
  });
  expect((await own.post(`${path}/retry`)).answer.data).toMatchObject({ kind: 'parked_again', events: 2 });
  expect((await own.post(`${path}/discard`)).statusCode).toBe(400);
  const reason = 'orders are none of ours';
  expect((await own.post(`${path}/discard`, { reason, apply: true })).answer.data).toEqual({
    applied: true,
    kind: 'cleared',
    events: 2,
  });
  expect((await own.get('parked')).answer.data).toEqual({ streams: [] });
  expect((await own.get('audit-entries')).answer.data).toMatchObject({
    entries: [
      { action: 'parked.discard', actor: 'olga', reason, details: { streamId, result: 'cleared' } },
      { action: 'parked.retry', actor: 'olga', reason: null, details: { streamId, result: 'parked_again' } },
    ],
  });
  expect(await dumpGeneration(own.pool, own.generation.schema)).toEqual(before);
  await own.close();
});
