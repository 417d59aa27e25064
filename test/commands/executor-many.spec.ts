import { randomUUID } from 'node:crypto';
import { problemOf } from '../../src/commands/command-problem';
import { isAccepted } from '../../src/commands/command-result';
import type { Failed } from '../../src/commands/command-result';
import { RunCommandExecutor } from '../../src/commands/run-command-executor';
import type { RunCommand } from '../../src/domain/decider';
import { EventTooLargeError } from '../../src/event-store/event-store';
import { comparePositions } from '../../src/events/position';
import { streamOf } from '../../src/events/operation-run-events';
import { commands as c } from '../domain/story';
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

describe('many commands at once', () => {
  it('are answered in order, one by one, accepted or not', async () => {
    const [a, b, missing] = [newRun(), newRun(), newRun()];
    const results = await executor.executeMany([
      envelope(a, c.queue()),
      envelope(b, c.queue()),
      envelope(a, c.start(1)),
      envelope(missing, c.start(1)),
      envelope(a, c.queue()),
      envelope(b, c.complete(3, 'blocked')),
      envelope(a, c.complete(4)),
      envelope(b, c.start(5)),
      envelope(a, c.complete(6), { expectedVersion: 2 }),
    ]);
    expect(results.map((r) => ('version' in r ? `${r.kind} ${r.version}` : r.kind))).toEqual([
      'applied 1',
      'applied 1',
      'applied 2',
      'rejected',
      'rejected',
      'applied 2',
      'applied 3',
      'rejected',
      'version_mismatch',
    ]);
    // Each refusal tells of the run as the commands before it have left it.
    expect(results[4]).toMatchObject({ currentVersion: 2, facts: { status: 'running' } });
    expect(results[7]).toMatchObject({ currentVersion: 2, facts: { outcome: 'blocked' } });
    expect(await side.typesOf(a)).toEqual(['Queued', 'Started', 'Completed']);
    expect(await side.typesOf(b)).toEqual(['Queued', 'Completed']);
  });

  it('were all lost for one run of which there was more to say than the log takes', async () => {
    const [large, sound] = [newRun(), newRun()];
    const context = { text: 'x'.repeat(300_000) };
    const tooLarge = { ...c.queue(), context } as RunCommand;
    const results = await executor.executeMany([
      envelope(large, tooLarge),
      envelope(sound, c.queue()),
      envelope(large, c.start(1)),
      envelope(sound, c.start(1)),
    ]);
    const failed = { kind: 'failed', runId: large, error: expect.any(EventTooLargeError) as Error };
    expect(results).toMatchObject([failed, { kind: 'applied' }, failed, { kind: 'applied', version: 2 }]);
    expect(problemOf((results[0] as Failed).error)).toMatchObject({ code: 'payload_too_large' });
    await expect(executor.execute(envelope(large, tooLarge))).rejects.toThrow(EventTooLargeError);
    expect(await executor.factsOf(large)).toBeNull();
  });

  it('on a hundred new runs are one append and no read', async () => {
    const runs = Array.from({ length: 100 }, newRun);
    const life = runs.flatMap((runId) => [
      envelope(runId, c.queue()),
      envelope(runId, c.start(1)),
      envelope(runId, c.complete(2)),
    ]);
    const results = await executor.executeMany(life);
    expect(results.every(({ kind }) => kind === 'applied')).toBe(true);
    expect(side.calls).toEqual({ appendMany: 1, readStream: 0, readStreams: 0 });
  });

  it('on a hundred runs unknown to the process are one read and one append', async () => {
    const runs = Array.from({ length: 100 }, newRun);
    await side.executor().executeMany(runs.map((runId) => envelope(runId, c.queue())));
    Object.assign(side.calls, { appendMany: 0, readStream: 0, readStreams: 0 });
    await executor.executeMany(runs.map((runId) => envelope(runId, c.start(1))));
    expect(side.calls).toEqual({ appendMany: 1, readStream: 0, readStreams: 1 });
  });

  it('repeat only the runs that somebody else has written to meanwhile', async () => {
    const runs = Array.from({ length: 5 }, newRun);
    await executor.executeMany(runs.map((runId) => envelope(runId, c.queue())));
    await side.executor().execute(envelope(runs[2]!, c.cancel(1)));
    const appended: string[][] = [];
    side.gate.beforeAppend = (appends) => {
      appended.push(appends.map(({ streamId }) => streamId));
      return Promise.resolve();
    };
    const results = await executor.executeMany(
      runs.flatMap((runId) => [envelope(runId, c.start(2)), envelope(runId, c.complete(3))]),
    );
    expect(results.map(({ kind }) => kind)).toEqual([
      ...['applied', 'applied', 'applied', 'applied'],
      // A cancelled run takes no start, but keeps its worker's late word.
      ...['rejected', 'recorded_late'],
      ...['applied', 'applied', 'applied', 'applied'],
    ]);
    expect(appended).toEqual([runs.map(streamOf), [streamOf(runs[2]!)]]);
  });

  it('with a command twice in them execute it once', async () => {
    const runId = newRun();
    const beat = envelope(runId, c.progress(1), { mayBeRepeat: true });
    const results = await executor.executeMany([envelope(runId, c.queue()), beat, beat]);
    expect(results.map((r) => ('repeat' in r ? [r.version, r.repeat] : r.kind))).toEqual([
      [1, false],
      [2, false],
      [2, true],
    ]);
  });

  it('answer positions that cover all that was written to their run', async () => {
    const runId = newRun();
    const results = await executor.executeMany([envelope(runId, c.queue()), envelope(runId, c.start(1))]);
    const events = await side.store.readStream(streamOf(runId));
    for (const [n, result] of results.entries())
      expect(
        isAccepted(result) && comparePositions(result.position, events[n]!.position),
      ).toBeGreaterThanOrEqual(0);
  });

  it('and none are none', async () => {
    expect(await executor.executeMany([])).toEqual([]);
    expect(side.calls).toEqual({ appendMany: 0, readStream: 0, readStreams: 0 });
  });
});
