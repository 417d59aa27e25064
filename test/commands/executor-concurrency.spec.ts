import { randomUUID } from 'node:crypto';
import { RunContendedError } from '../../src/commands/command-result';
import { RunCommandExecutor } from '../../src/commands/run-command-executor';
import type { EventStore } from '../../src/event-store/event-store';
import { commands as c, judge } from '../domain/story';
import { chosenLog } from '../support/test-log';
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

describe('writers at the same time', () => {
  it('of one process take turns: twenty heartbeats are twenty events and no conflict', async () => {
    const runId = newRun();
    await executor.execute(envelope(runId, c.queue()));
    const results = await Promise.all(
      Array.from({ length: 20 }, (_, n) => executor.execute(envelope(runId, c.progress(n)))),
    );
    expect(results.map((result) => result.kind === 'applied' && result.version)).toEqual(
      Array.from({ length: 20 }, (_, n) => n + 2),
    );
    expect(side.calls.appendMany).toBe(21);
  });

  it('of two processes lose nothing', async () => {
    const runId = newRun();
    const other = side.executor();
    await executor.execute(envelope(runId, c.queue()));
    const results = await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        (n % 2 ? executor : other).execute(envelope(runId, c.progress(n))),
      ),
    );
    expect(results.every(({ kind }) => kind === 'applied')).toBe(true);
    const versions = results.map((result) => 'version' in result && result.version);
    expect(new Set(versions).size).toBe(20);
    expect(await side.typesOf(runId)).toHaveLength(21);
  });

  it('agree on one end: of twenty completions one is applied', async () => {
    const runId = newRun();
    const executors = [executor, side.executor(), side.executor()];
    await executor.execute(envelope(runId, c.queue()));
    const results = await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        executors[n % 3]!.execute(envelope(runId, c.complete(n, n % 2 ? 'failed' : 'succeeded'))),
      ),
    );
    expect(results.filter(({ kind }) => kind === 'applied')).toHaveLength(1);
    expect(await side.typesOf(runId)).toEqual(['Queued', 'Completed']);
  });

  it('that win every time end in an error that names the run', async () => {
    const runId = newRun();
    await executor.execute(envelope(runId, c.queue()));
    const rival = side.executor();
    let inside = false;
    side.gate.beforeAppend = async () => {
      if (inside) return;
      inside = true;
      await rival.execute(envelope(runId, c.progress(1)));
      inside = false;
    };
    await expect(executor.execute(envelope(runId, c.progress(2)))).rejects.toThrow(RunContendedError);
    side.gate.beforeAppend = undefined;
    expect(await executor.execute(envelope(runId, c.progress(3)))).toMatchObject({ kind: 'applied' });
  });
});

describe("a process whose memory of a run is yesterday's", () => {
  let other: RunCommandExecutor;
  let runId: string;
  beforeEach(async () => {
    other = side.executor();
    runId = newRun();
    await executor.execute(envelope(runId, c.queue()));
    await other.execute(envelope(runId, c.start(10)));
    await other.execute(envelope(runId, c.complete(20, 'failed')));
  });

  it('does not write on it', async () => {
    expect(await executor.execute(envelope(runId, c.progress(30)))).toMatchObject({
      kind: 'rejected',
      rejection: { code: 'illegal_transition' },
      currentVersion: 3,
    });
  });

  it('does not refuse by it', async () => {
    // By its memory the run is fresh and has nothing to follow up.
    expect(await executor.execute(envelope(runId, c.resolve(30)))).toMatchObject({
      kind: 'applied',
      version: 4,
    });
  });

  it('does not compare versions with it', async () => {
    expect(await executor.execute(envelope(runId, c.resolve(30), { expectedVersion: 3 }))).toMatchObject({
      kind: 'applied',
    });
    expect(await other.execute(envelope(runId, c.reopen(40), { expectedVersion: 3 }))).toMatchObject({
      kind: 'version_mismatch',
      runId,
      currentVersion: 4,
    });
  });

  it('reads on from what it knows, once', async () => {
    Object.assign(side.calls, { appendMany: 0, readStream: 0, readStreams: 0 });
    await executor.execute(envelope(runId, c.progress(30)));
    expect(side.calls).toEqual({ appendMany: 1, readStream: 1, readStreams: 0 });
  });
});

describe('a command that may be a repeat', () => {
  it('answers what it answered first, though the run has moved on', async () => {
    const runId = newRun();
    await executor.execute(envelope(runId, c.queue()));
    const start = envelope(runId, c.start(5), { mayBeRepeat: true });
    const first = await executor.execute(start);
    await executor.execute(envelope(runId, c.complete(9)));
    expect(first).toMatchObject({ kind: 'applied', repeat: false });
    expect(await side.executor().execute(start)).toEqual({ ...first, repeat: true });
    expect(await executor.execute({ ...start, expectedVersion: 1 })).toEqual({ ...first, repeat: true });
    expect(await side.typesOf(runId)).toEqual(['Queued', 'Started', 'Completed']);
  });

  it('read the whole stream each time, so that the beats of a week were read millions of times', async () => {
    const runId = newRun();
    await executor.execute(envelope(runId, c.queue()));
    side.read.events = 0;
    const beats = Array.from({ length: 40 }, (_, n) =>
      envelope(runId, c.progress(n + 1), { mayBeRepeat: true }),
    );
    for (const beat of beats)
      expect(await executor.execute(beat)).toMatchObject({ kind: 'applied', repeat: false });
    // EventStoreDB cannot tell what it wrote from what it recognised: each event is read once more.
    expect(side.read.events).toBeLessThanOrEqual(chosenLog() === 'postgres' ? 0 : beats.length);
    expect(await executor.execute(beats[20]!)).toMatchObject({ version: 22, repeat: true });
  });

  it('is decided anew if it left nothing behind', async () => {
    const runId = newRun();
    const start = envelope(runId, c.start(5), { mayBeRepeat: true });
    expect(await executor.execute(start)).toMatchObject({ kind: 'rejected' });
    await executor.execute(envelope(runId, c.queue()));
    expect(await executor.execute(start)).toMatchObject({ kind: 'applied', repeat: false });
  });

  it('running twice at once writes one event', async () => {
    const runId = newRun();
    await executor.execute(envelope(runId, c.queue()));
    const beat = envelope(runId, c.progress(5), { mayBeRepeat: true });
    const results = await Promise.all(
      [executor, side.executor(), side.executor(), executor].map((one) => one.execute(beat)),
    );
    expect(results.map(({ kind }) => kind)).toEqual(Array.from({ length: 4 }, () => 'applied'));
    expect(await side.typesOf(runId)).toEqual(['Queued', 'Progressed']);
  });

  it("leaves no memory of its own version of a twin's event", async () => {
    const runId = newRun();
    await executor.execute(envelope(runId, c.queue()));
    const commandId = randomUUID();
    const beat = (seconds: number) => envelope(runId, c.progress(seconds), { commandId, mayBeRepeat: true });
    side.gate.beforeAppend = async () => {
      side.gate.beforeAppend = undefined;
      await side.executor().execute(beat(700));
    };
    await executor.execute(beat(5));
    // By the log the run was heard of at 700 s and is fresh; by the executor's own event it would be stale.
    expect(await executor.execute(envelope(runId, c.markFailed(1000)))).toMatchObject({
      rejection: { code: 'not_stale' },
    });
  });
});

test('a run whose event was discarded while its stream was read was remembered as before, for ever', async () => {
  const runId = newRun();
  let discarded: ReadonlySet<number> = new Set();
  let meanwhile = (): void => undefined;
  const executorOn = (store: EventStore) =>
    new RunCommandExecutor({
      store,
      judge: () => judge,
      discards: { in: () => discarded, refresh: () => Promise.resolve() },
    });
  const reading = executorOn({
    ...side.store,
    readStream: async (...asked) => {
      const events = await side.store.readStream(...asked);
      meanwhile();
      return events;
    },
  });
  await reading.execute(envelope(runId, c.queue()));
  await reading.execute(envelope(runId, c.start(1)));
  await executorOn(side.store).execute(envelope(runId, c.progress(2)));
  meanwhile = () => (discarded = new Set([1]));
  expect(await reading.factsOf(runId)).toMatchObject({ status: 'queued', version: 3 });
  expect(await reading.factsOf(runId)).toMatchObject({ status: 'queued', version: 3 });
});
