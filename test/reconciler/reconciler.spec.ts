import { randomUUID } from 'node:crypto';
import { reconcileDueRuns, runReconciler } from '../../src/reconciler/reconciler';
import type { DueRuns, ReconcilerOptions } from '../../src/reconciler/reconciler';
import { EventStoreUnavailableError } from '../../src/event-store/event-store';
import { streamOf } from '../../src/events/operation-run-events';
import { createWriteSide, envelope } from '../commands/write-side';
import type { WriteSide } from '../commands/write-side';
import { at, commands as c, metadata } from '../domain/story';
import { testClock } from '../support/database';

let side: WriteSide;
beforeAll(async () => (side = await createWriteSide()));
afterAll(() => side.close());
beforeEach(() => (side.gate.beforeAppend = undefined));

const signal = new AbortController().signal;

/** What a read side would answer that believes these runs to be due. */
function listed(runIds: readonly string[]): DueRuns {
  const sorted = [...runIds].sort();
  return (_asOf, after, limit) =>
    Promise.resolve(
      sorted
        .filter((runId) => after === null || runId > after)
        .slice(0, limit)
        .map((runId) => ({ runId })),
    );
}

function quiet() {
  const errors: { details: object; message: string }[] = [];
  const logger = {
    info: () => undefined,
    error: (details: object, message: string) => void errors.push({ details, message }),
  };
  return { logger, errors };
}

const options = (dueRuns: DueRuns, more: Partial<ReconcilerOptions> = {}): ReconcilerOptions => ({
  executor: side.executor(),
  dueRuns,
  clock: testClock(at(1801)),
  logger: quiet().logger,
  ...more,
});

async function queuedRuns(count: number): Promise<string[]> {
  const runIds = Array.from({ length: count }, () => `run-${randomUUID()}`);
  await side.executor().executeMany(runIds.map((runId) => envelope(runId, c.queue())));
  return runIds.sort();
}

it('a run past its deadline is failed, by the reconciler and with evidence', async () => {
  const [runId] = await queuedRuns(1);
  expect(await reconcileDueRuns(options(listed([runId!])), signal)).toEqual({
    applied: 1,
    repeated: 0,
    notDue: 0,
    refused: 0,
    failed: 0,
  });
  const [, reconciled] = await side.store.readStream(streamOf(runId!));
  expect(reconciled).toMatchObject({
    type: 'OperationRunReconciled',
    data: { outcome: 'failed', occurredAt: at(1801), evidence: { reconciledBy: 'reconciler' } },
    metadata: { actor: 'reconciler', plane: 'worker' },
  });
});

it("the run's own facts decide, not the list: fresh, ended and unknown runs stay as they are", async () => {
  const [due, alive, ended] = await queuedRuns(3);
  await side.executor().executeMany([envelope(alive!, c.progress(1000)), envelope(ended!, c.cancel(5))]);
  const tally = await reconcileDueRuns(options(listed([due!, alive!, ended!, 'never-queued'])), signal);
  expect(tally).toEqual({ applied: 1, repeated: 0, notDue: 1, refused: 2, failed: 0 });
  expect(await side.typesOf(alive!)).toEqual(['Queued', 'Progressed']);
  expect(await side.typesOf(ended!)).toEqual(['Queued', 'Completed']);
});

it('reconcilers that race make one transition per run', async () => {
  const runIds = await queuedRuns(30);
  const tallies = await Promise.all(
    Array.from({ length: 5 }, (_, n) =>
      reconcileDueRuns(options(listed(runIds), { clock: testClock(at(1801 + n)), batchSize: 7 }), signal),
    ),
  );
  for (const { applied, repeated, failed } of tallies) expect([applied + repeated, failed]).toEqual([30, 0]);
  for (const runId of runIds) expect(await side.typesOf(runId)).toEqual(['Queued', 'Reconciled']);
  // Whoever comes later finds the work done.
  expect(await reconcileDueRuns(options(listed(runIds)), signal)).toMatchObject({ applied: 0, repeated: 30 });
});

it('a race with an operator ends in one of the two', async () => {
  const [runId] = await queuedRuns(1);
  const [, marked] = await Promise.all([
    reconcileDueRuns(options(listed([runId!])), signal),
    side.executor().execute(envelope(runId!, c.markFailed(1801))),
  ]);
  expect(['applied', 'rejected']).toContain(marked.kind);
  expect(await side.typesOf(runId!)).toEqual(['Queued', 'Reconciled']);
});

it('a run that cannot be read is logged, and every other is reconciled', async () => {
  const runIds = await queuedRuns(5);
  await side.store.append({
    streamId: streamOf(runIds[2]!),
    expectedRevision: 0,
    events: [{ eventId: randomUUID(), type: 'OperationRunExploded', data: {}, metadata }],
  });
  const { logger, errors } = quiet();
  const tally = await reconcileDueRuns(options(listed(runIds), { logger, batchSize: 2 }), signal);
  expect(tally).toMatchObject({ applied: 4, failed: 1 });
  expect(errors).toMatchObject([{ details: { runId: runIds[2] }, message: 'a run could not be reconciled' }]);
});

it('a run that the store refuses is logged, and every other is reconciled', async () => {
  const runIds = await queuedRuns(5);
  side.gate.beforeAppend = (appends) =>
    appends.some(({ streamId }) => streamId === streamOf(runIds[1]!))
      ? Promise.reject(new Error('no room'))
      : Promise.resolve();
  const { logger, errors } = quiet();
  const tally = await reconcileDueRuns(options(listed(runIds), { logger }), signal);
  expect(tally).toMatchObject({ applied: 4, failed: 1 });
  expect(errors).toMatchObject([{ details: { runId: runIds[1] } }]);
});

it('a store that was down was asked again for each run, and none of its errors was told', async () => {
  const runIds = await queuedRuns(5);
  let asked = 0;
  side.gate.beforeAppend = () => {
    asked += 1;
    return Promise.reject(new EventStoreUnavailableError('nobody listens'));
  };
  await expect(reconcileDueRuns(options(listed(runIds)), signal)).rejects.toThrow('nobody listens');
  expect(asked).toBe(1);
});

it('goes on pass after pass through failures of the list, and ends when told to', async () => {
  const [runId] = await queuedRuns(1);
  const { logger, errors } = quiet();
  const stop = new AbortController();
  let asked = 0;
  const flaky: DueRuns = (...question) => {
    asked++;
    if (asked === 1) return Promise.reject(new Error('read side is down'));
    if (asked === 3) stop.abort();
    return listed([runId!])(...question);
  };
  await runReconciler(options(flaky, { logger, intervalMs: 1 }), stop.signal);
  expect(asked).toBe(3);
  expect(errors).toMatchObject([{ message: 'reconciling failed; it goes on with the next pass' }]);
  expect(await side.typesOf(runId!)).toEqual(['Queued', 'Reconciled']);
});

it('stops at once when told to while it waits', async () => {
  const stop = new AbortController();
  const running = runReconciler(options(listed([]), { intervalMs: 3_600_000 }), stop.signal);
  setTimeout(() => stop.abort(), 20);
  await running;
});
