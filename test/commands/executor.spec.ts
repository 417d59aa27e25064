import { randomUUID } from 'node:crypto';
import { judgeWith } from '../../src/classifier/classifier';
import { parsePolicy } from '../../src/classifier/policy';
import type { Accepted } from '../../src/commands/command-result';
import { RunCommandExecutor } from '../../src/commands/run-command-executor';
import { streamOf } from '../../src/events/operation-run-events';
import { at, commands as c, judge, metadata } from '../domain/story';
import { createWriteSide, envelope } from './write-side';
import type { WriteSide } from './write-side';

let side: WriteSide;
let executor: RunCommandExecutor;
beforeAll(async () => (side = await createWriteSide()));
afterAll(() => side.close());
beforeEach(() => {
  executor = side.executor();
  side.gate.beforeAppend = undefined;
  Object.assign(side.calls, { appendMany: 0, readStream: 0, readStreams: 0 });
});

const newRun = () => `run-${randomUUID()}`;

describe('a command', () => {
  it('that is accepted answers the run as it leaves it, and where', async () => {
    const runId = newRun();
    expect(await executor.execute(envelope(runId, c.queue()))).toMatchObject({
      kind: 'applied',
      runId,
      version: 1,
      status: 'queued',
      outcome: 'pending',
      eventTypes: ['OperationRunQueued'],
      repeat: false,
    });
    const done = await executor.execute(envelope(runId, c.complete(5, 'failed')));
    expect(done).toMatchObject({ kind: 'applied', version: 2, status: 'completed', outcome: 'failed' });
    const [, last] = await side.store.readStream(streamOf(runId));
    expect(done).toMatchObject({ position: last!.position });
  });

  it('says who caused the event, from where and by which command', async () => {
    const runId = newRun();
    const sent = envelope(runId, c.queue(), { actor: 'ada', plane: 'system', causationId: 'before' });
    await executor.execute(sent);
    const [event] = await side.store.readStream(streamOf(runId));
    expect(event!.metadata).toEqual({
      actor: 'ada',
      plane: 'system',
      commandId: sent.commandId,
      correlationId: 'test',
      causationId: 'before',
    });
  });

  it('that changes nothing answers the place of the last event there is', async () => {
    const runId = newRun();
    await executor.execute(envelope(runId, c.queue()));
    const started = await executor.execute(envelope(runId, c.start(5)));
    const again = await executor.execute(envelope(runId, c.start(6)));
    expect(again).toMatchObject({ kind: 'unchanged', version: 2, status: 'running', eventTypes: [] });
    expect('position' in again && 'position' in started && again.position).toEqual(
      'position' in started && started.position,
    );
    expect(await side.typesOf(runId)).toEqual(['Queued', 'Started']);
  });

  it('that is refused says why, and what would be possible', async () => {
    const runId = newRun();
    await executor.execute(envelope(runId, c.queue()));
    await executor.execute(envelope(runId, c.complete(5, 'failed')));
    expect(await executor.execute(envelope(runId, c.start(6)))).toMatchObject({
      kind: 'rejected',
      rejection: { code: 'illegal_transition' },
      currentVersion: 2,
      facts: { status: 'completed', outcome: 'failed' },
      allowedActions: ['resolve'],
    });
    expect(await executor.execute(envelope(newRun(), c.start(6)))).toMatchObject({
      kind: 'rejected',
      rejection: { code: 'run_not_found' },
      currentVersion: 0,
      facts: null,
      allowedActions: ['queue'],
    });
  });

  it('of a worker that others have ended is kept as evidence', async () => {
    const runId = newRun();
    await executor.executeMany([envelope(runId, c.queue()), envelope(runId, c.reconcile(1801))]);
    expect(await executor.execute(envelope(runId, c.complete(1900)))).toMatchObject({
      kind: 'recorded_late',
      version: 3,
      status: 'completed',
      outcome: 'failed',
      eventTypes: ['OperationRunLateReportRecorded'],
    });
  });

  it('for another version than the run has is not decided at all', async () => {
    const runId = newRun();
    const { position } = (await executor.execute(envelope(runId, c.queue()))) as Accepted;
    const mismatch = { kind: 'version_mismatch', runId, currentVersion: 1, position };
    expect(await executor.execute(envelope(runId, c.start(5), { expectedVersion: 3 }))).toEqual(mismatch);
    expect(await executor.execute(envelope(runId, c.start(5), { expectedVersion: 1 }))).toMatchObject({
      kind: 'applied',
    });
  });

  it('on a stream that cannot be read throws what is wrong with it, and spoils no other', async () => {
    const [broken, sound] = [newRun(), newRun()];
    await side.store.append({
      streamId: streamOf(broken),
      expectedRevision: 'no_stream',
      events: [{ eventId: randomUUID(), type: 'OperationRunExploded', data: {}, metadata }],
    });
    await expect(executor.execute(envelope(broken, c.start(1)))).rejects.toThrow('unknown event type');
    const results = await executor.executeMany([
      envelope(broken, c.start(1)),
      envelope(sound, c.queue()),
      envelope(broken, c.start(2)),
    ]);
    expect(results.map(({ kind }) => kind)).toEqual(['failed', 'applied', 'failed']);
  });
});

describe('a scope', () => {
  const elsewhere = { kind: 'grants', grants: [{ workspaceId: 'w2', tenantIds: null }] } as const;
  const inside = { kind: 'grants', grants: [{ workspaceId: 'w1', tenantIds: ['t1'] }] } as const;

  it('makes a run outside of it one that does not exist, whatever is asked', async () => {
    const [there, missing] = [newRun(), newRun()];
    await executor.execute(envelope(there, c.queue()));
    for (const command of [c.start(1), c.cancel(1), c.resolve(1), c.complete(1)])
      for (const more of [{}, { expectedVersion: 9 }, { mayBeRepeat: true }]) {
        const hidden = await executor.execute(envelope(there, command, { ...more, scope: elsewhere }));
        const absent = await executor.execute(envelope(missing, command, { ...more, scope: elsewhere }));
        expect({ ...hidden, runId: missing }).toEqual(absent);
      }
    expect(await side.typesOf(there)).toEqual(['Queued']);
  });

  it('tells of a taken run id nothing but that', async () => {
    const runId = newRun();
    await executor.execute(envelope(runId, c.queue()));
    expect(await executor.execute(envelope(runId, c.queue(), { scope: elsewhere }))).toEqual({
      kind: 'rejected',
      runId,
      rejection: { code: 'run_already_exists', message: 'this run id is taken' },
      currentVersion: 0,
      position: null,
      facts: null,
      allowedActions: [],
    });
  });

  it('lets through what is inside', async () => {
    const runId = newRun();
    await executor.execute(envelope(runId, c.queue(), { scope: inside }));
    expect(await executor.execute(envelope(runId, c.start(1), { scope: inside }))).toMatchObject({
      kind: 'applied',
    });
  });
});

it('the judge in force is asked anew for each decision', async () => {
  const patient = judgeWith(1, {
    version: 8,
    policy: parsePolicy({ defaults: { queuedStaleAfterSeconds: 9e6 } }),
  });
  let inForce = patient;
  const following = new RunCommandExecutor({ store: side.store, judge: () => inForce });
  const runId = newRun();
  await following.execute(envelope(runId, c.queue()));
  expect(await following.execute(envelope(runId, c.markFailed(601)))).toMatchObject({
    rejection: { code: 'not_stale' },
  });
  inForce = judge;
  expect(await following.execute(envelope(runId, c.markFailed(601)))).toMatchObject({ kind: 'applied' });
  const [, marked] = await side.store.readStream(streamOf(runId));
  expect(marked!.data).toMatchObject({ evidence: { policyVersion: 7, firstStaleAt: at(600) } });
});
