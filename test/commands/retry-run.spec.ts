import { randomUUID } from 'node:crypto';
import { uuidOf } from '../../src/commands/command-ids';
import { retryRun } from '../../src/commands/retry-run';
import { RunCommandExecutor } from '../../src/commands/run-command-executor';
import type { Sender } from '../../src/commands/sender';
import { streamOf } from '../../src/events/operation-run-events';
import { at, commands as c, judge } from '../domain/story';
import { createWriteSide, envelope } from './write-side';
import type { WriteSide } from './write-side';

let side: WriteSide;
let executor: RunCommandExecutor;
beforeAll(async () => (side = await createWriteSide()));
afterAll(() => side.close());
beforeEach(() => {
  executor = side.executor();
  side.gate.beforeAppend = undefined;
});

const sender = (more: Partial<Sender> = {}): Sender => ({
  commandId: randomUUID(),
  actor: 'olga',
  plane: 'system',
  correlationId: 'test',
  now: at(100),
  ...more,
});

async function failedRun(): Promise<string> {
  const runId = `run-${randomUUID()}`;
  await executor.executeMany([envelope(runId, c.queue()), envelope(runId, c.complete(5, 'failed'))]);
  return runId;
}

/** An executor of a process that dies before it writes to any run but this one. */
function dyingAfter(runId: string): RunCommandExecutor {
  side.gate.beforeAppend = (appends) =>
    appends.some(({ streamId }) => streamId !== streamOf(runId))
      ? Promise.reject(new Error('killed'))
      : Promise.resolve();
  return side.executor();
}

it('a retry queues a successor like its predecessor, and links the two', async () => {
  const runId = await failedRun();
  const asked = sender();
  const result = await retryRun(executor, runId, null, asked);
  const successorRunId = uuidOf('successor', asked.commandId);
  expect(result).toMatchObject({ kind: 'applied', runId, version: 3, status: 'completed', successorRunId });

  expect(await executor.factsOf(runId)).toMatchObject({ successorRunIds: [successorRunId] });
  expect(await executor.factsOf(successorRunId)).toMatchObject({
    status: 'queued',
    workspaceId: 'w1',
    tenantId: 't1',
    type: 'sync',
    initiator: 'ada',
    context: { from: 'cron' },
    queuedAt: at(100),
    predecessorRunId: runId,
    origin: null,
  });
  const [queued] = await side.store.readStream(streamOf(successorRunId));
  expect(queued!.metadata).toMatchObject({ actor: 'olga', plane: 'system', causationId: asked.commandId });
  // A reader who has reached the answer's position sees both runs.
  expect(result).toMatchObject({ position: queued!.position });
});

it('a second retry is refused while the successor is active, and follows once it is over', async () => {
  const runId = await failedRun();
  const first = await retryRun(executor, runId, null, sender());
  const successor = 'successorRunId' in first ? first.successorRunId : '';
  expect(await retryRun(executor, runId, null, sender())).toMatchObject({
    kind: 'rejected',
    rejection: { code: 'successor_active', message: expect.stringContaining(successor) as string },
    allowedActions: ['mark-investigated'],
  });
  // Ended in another process, of which this one's memory knows nothing.
  await side.executor().execute(envelope(successor, c.complete(200, 'failed')));
  expect(await retryRun(executor, runId, null, sender())).toMatchObject({ kind: 'applied', version: 4 });
});

it('a run whose newest retry had been discarded could never be retried again', async () => {
  const runId = await failedRun();
  const asked = sender();
  await retryRun(executor, runId, null, asked);
  const gone = streamOf(uuidOf('successor', asked.commandId));
  const discards = {
    in: (streamId: string) => new Set(streamId === gone ? [0] : []),
    refresh: () => Promise.resolve(),
  };
  const later = new RunCommandExecutor({ store: side.store, judge: () => judge, discards });
  expect(await retryRun(later, runId, null, sender())).toMatchObject({ kind: 'applied', version: 4 });
});

it('the same retry again gives the same successor', async () => {
  const runId = await failedRun();
  const asked = sender({ mayBeRepeat: true });
  const first = await retryRun(executor, runId, null, asked);
  const successor = 'successorRunId' in first ? first.successorRunId : '';
  await executor.execute(envelope(successor, c.complete(200)));
  await executor.execute(envelope(runId, c.resolve(300)));
  expect(await retryRun(side.executor(), runId, null, { ...asked, now: at(400) })).toEqual({
    ...first,
    repeat: true,
  });
  expect(await side.typesOf(runId)).toEqual(['Queued', 'Completed', 'Retried', 'FollowUpResolved']);
  expect(await side.typesOf(successor)).toEqual(['Queued', 'Completed']);
});

describe('a crash after the predecessor was written and before the successor was queued', () => {
  let runId: string;
  let successor: string;
  let asked: Sender;
  beforeEach(async () => {
    runId = await failedRun();
    asked = sender({ mayBeRepeat: true });
    successor = uuidOf('successor', asked.commandId);
    await expect(retryRun(dyingAfter(runId), runId, null, asked)).rejects.toThrow('killed');
    side.gate.beforeAppend = undefined;
    expect(await side.typesOf(runId)).toEqual(['Queued', 'Completed', 'Retried']);
    expect(await side.typesOf(successor)).toEqual([]);
  });

  it('is healed by the same retry', async () => {
    expect(await retryRun(executor, runId, null, asked)).toMatchObject({
      kind: 'applied',
      version: 3,
      successorRunId: successor,
    });
    expect(await side.typesOf(runId)).toEqual(['Queued', 'Completed', 'Retried']);
    expect(await side.typesOf(successor)).toEqual(['Queued']);
  });

  it('is healed by another retry, which is then refused', async () => {
    expect(await retryRun(executor, runId, null, sender())).toMatchObject({
      kind: 'rejected',
      rejection: { code: 'successor_active' },
    });
    expect(await executor.factsOf(successor)).toMatchObject({ status: 'queued', predecessorRunId: runId });
  });

  it('and after another run took the id was answered with that run, which was waited for as a retry', async () => {
    await executor.execute(envelope(successor, c.queue()));
    expect(await retryRun(executor, runId, null, asked)).toEqual({
      kind: 'rejected',
      runId,
      rejection: {
        code: 'run_already_exists',
        message: `run ${runId} was to be retried as ${successor}, and another run has that id; retry it once more`,
      },
      currentVersion: 0,
      position: null,
      facts: null,
      allowedActions: [],
    });
    expect(await retryRun(executor, runId, null, sender())).toMatchObject({ kind: 'applied', version: 4 });
  });

  it('is healed by both at once', async () => {
    const results = await Promise.all([
      retryRun(executor, runId, null, asked),
      retryRun(side.executor(), runId, null, sender()),
      retryRun(side.executor(), runId, null, sender()),
    ]);
    expect(results.map(({ kind }) => kind)).toEqual(['applied', 'rejected', 'rejected']);
    expect(await side.typesOf(successor)).toEqual(['Queued']);
  });
});

it('of many retries at the same time one is applied', async () => {
  const runId = await failedRun();
  const executors = [executor, side.executor(), side.executor()];
  const results = await Promise.all(
    Array.from({ length: 9 }, (_, n) => retryRun(executors[n % 3]!, runId, null, sender())),
  );
  expect(results.filter(({ kind }) => kind === 'applied')).toHaveLength(1);
  for (const result of results.filter(({ kind }) => kind !== 'applied'))
    expect(result).toMatchObject({ kind: 'rejected', rejection: { code: 'successor_active' } });
  expect(await side.typesOf(runId)).toEqual(['Queued', 'Completed', 'Retried']);
});

it('what cannot be retried is refused, and for want of a version also', async () => {
  const active = `run-${randomUUID()}`;
  await executor.execute(envelope(active, c.queue()));
  expect(await retryRun(executor, active, null, sender())).toMatchObject({
    rejection: { code: 'illegal_transition' },
  });
  expect(await retryRun(executor, 'no-such-run', null, sender())).toMatchObject({
    rejection: { code: 'run_not_found' },
    facts: null,
  });
  const runId = await failedRun();
  expect(await retryRun(executor, runId, null, sender({ expectedVersion: 1 }))).toEqual({
    kind: 'version_mismatch',
    runId,
    currentVersion: 2,
    position: (await side.store.readStream(streamOf(runId))).at(-1)!.position,
  });
  expect(await retryRun(executor, runId, null, sender({ expectedVersion: 2 }))).toMatchObject({
    kind: 'applied',
  });
});

it('a run out of scope is neither retried nor healed', async () => {
  const runId = await failedRun();
  const asked = sender();
  await expect(retryRun(dyingAfter(runId), runId, null, asked)).rejects.toThrow('killed');
  side.gate.beforeAppend = undefined;
  const scope = { kind: 'grants', grants: [{ workspaceId: 'w2', tenantIds: null }] } as const;
  expect(await retryRun(executor, runId, null, sender({ scope }))).toMatchObject({
    rejection: { code: 'run_not_found' },
    facts: null,
  });
  expect(await side.typesOf(uuidOf('successor', asked.commandId))).toEqual([]);
});
