import { setTimeout as sleep } from 'node:timers/promises';
import { RunCommandExecutor } from '../../src/commands/run-command-executor';
import { createEventStoreDbEventStore } from '../../src/event-store/eventstoredb-event-store';
import type { EventStore } from '../../src/event-store/event-store';
import { systemClock } from '../../src/events/instant';
import { START } from '../../src/events/position';
import type { Position } from '../../src/events/position';
import { isRunStream } from '../../src/events/operation-run-events';
import type { StoredEvent } from '../../src/events/operation-run-events';
import { projectGeneration } from '../../src/projector/generation-projector';
import { projectionStatus } from '../../src/projector/projection-status';
import { createRandom } from '../../src/simulator/random';
import { simulateWorkload } from '../../src/simulator/workload';
import { eventually, idsOf, newEvents, newStream } from '../contract/event-store-fixtures';
import { EventStoreDbStandIn } from '../support/eventstoredb-stand-in';
import { createProjectionFixture, dumpGeneration } from '../support/projection';

// Some hundred connections are made anew; a machine that does other work as well takes its time.
jest.setTimeout(120_000);

const KILLS = 20;
const SEED = 20_261_123;

let standIn: EventStoreDbStandIn;
let store: EventStore;
const readers: Reader[] = [];
const restarts = new Map<string, number>();

beforeEach(async () => {
  standIn = new EventStoreDbStandIn();
  await standIn.start();
  restarts.clear();
  store = createEventStoreDbEventStore({
    url: standIn.url,
    onError: () => undefined,
    observer: () => ({ restarted: (type) => restarts.set(type, (restarts.get(type) ?? 0) + 1) }),
    appendTimeoutMs: 200,
  });
  await store.identity();
});
afterEach(async () => {
  await Promise.all(readers.splice(0).map((reader) => reader.stop()));
  await store.close();
  await standIn.stop();
});

/**
 * Under each of `loads`, which are bounded so that a test that fails ends, kills the server, cuts its connections and
 * loses its answers, for random whiles. Each kill meets a reader that has heard of the server since the one before.
 */
async function disturb(loads: Iterable<() => Promise<unknown>>, heard: () => number): Promise<void> {
  const random = createRandom(SEED);
  for (const load of loads) {
    const before = heard();
    const loading = load();
    // Awaited below; it may fail before that.
    loading.catch(() => undefined);
    await eventually(
      () => Promise.resolve(heard()),
      (now) => now > before,
    );
    await sleep(random.integer(0, 40));
    standIn.faults.repliesLost = random.integer(0, 2);
    if (random.chance(0.5)) standIn.cutConnections();
    if (random.chance(0.3)) standIn.faults.notReady = random.integer(1, 3);
    if (random.chance(0.3)) standIn.endSubscriptions();
    await sleep(random.integer(0, 40));
    await standIn.stop();
    await sleep(random.integer(0, 60));
    await standIn.start();
    await loading;
  }
  standIn.faults.repliesLost = standIn.faults.notReady = 0;
}

/** What the server itself has of runs, in its own order. */
function runEventsWritten(): string[] {
  const records = Array.from({ length: standIn.log.length }, (_, at) => standIn.log.at(at)!);
  return records.filter(({ streamId }) => isRunStream(streamId)).map(({ id }) => id);
}

interface Reader {
  readonly kept: StoredEvent[];
  has(count: number): Promise<number>;
  stop(): Promise<void>;
}

/**
 * As the projector: takes a batch, stores it with the checkpoint, and now and then dies before it could and starts over
 * from what it had stored.
 */
function follow(batchSize: number, options: { pauseMs?: number; diesWith?: number } = {}): Reader {
  const { pauseMs = 0, diesWith = 0 } = options;
  const random = createRandom(batchSize);
  const stopping = new AbortController();
  const kept: StoredEvent[] = [];
  let checkpoint: Position = START;
  const run = async () => {
    while (!stopping.signal.aborted)
      for await (const batch of store.subscribe(checkpoint, { batchSize, signal: stopping.signal })) {
        if (pauseMs > 0) await sleep(pauseMs);
        if (random.chance(diesWith)) break;
        kept.push(...batch);
        checkpoint = batch.at(-1)!.position;
      }
  };
  const running = run();
  const reader = {
    kept,
    has: (count: number) =>
      eventually(
        () => Promise.resolve(kept.length),
        (length) => length >= count,
      ),
    async stop() {
      stopping.abort();
      await running;
    },
  };
  readers.push(reader);
  return reader;
}

test(`a server killed ${KILLS} times under load: every append once, every event once, in order, for every reader`, async () => {
  const steady = follow(500);
  follow(7, { pauseMs: 1, diesWith: 0.05 });
  follow(64, { diesWith: 0.1 });
  const acknowledged: string[] = [];
  const write = async () => {
    for (let round = 0; round < 2; round++) {
      const streams = Array.from({ length: 4 }, newStream);
      for (const expectedRevision of ['no_stream', 1] as const) {
        const appends = streams.map((streamId) => ({ streamId, expectedRevision, events: newEvents(2) }));
        const results = await store.appendMany(appends);
        expect(results.map(({ kind }) => kind)).toEqual(appends.map(() => 'appended'));
        acknowledged.push(...appends.flatMap(({ events }) => idsOf(events)));
      }
    }
  };
  const writers = () => Promise.all([write(), write(), write()]);
  await disturb(
    Array.from({ length: KILLS }, () => writers),
    () => steady.kept.length,
  );
  const written = runEventsWritten();
  expect([...written].sort()).toEqual([...acknowledged].sort());
  for (const reader of readers) {
    await reader.has(written.length);
    expect(idsOf(reader.kept)).toEqual(written);
  }
  expect([...restarts.values()].reduce((sum, count) => sum + count, 0)).toBeGreaterThanOrEqual(KILLS);
});

test('the projector over a server that is killed again and again makes the tables that it makes in peace', async () => {
  const fixture = await createProjectionFixture();
  let applied = 0;
  const onBatch = ({ events }: { events: number }) => (applied += events);
  const options = { ...fixture.options, store, batchSize: 200, onBatch };
  const stopping = new AbortController();
  const projecting = projectGeneration(fixture.generation.id, options, stopping.signal);
  const status = async () => {
    const { generations } = await projectionStatus(fixture.pool, store, systemClock);
    return generations.find(({ generation }) => generation === fixture.generation.id)!;
  };
  const executor = new RunCommandExecutor({ store, judge: () => fixture.judge });
  try {
    await disturb(commandsInPortions(executor, 10), () => applied);
    const written = runEventsWritten().length;
    await eventually(status, ({ lag }) => lag.events === 0);
    expect(await status()).toMatchObject({ eventsApplied: written, parked: { events: 0 } });

    // Lag tells the truth when the server does not deliver, and fails openly when there is no server to ask.
    await standIn.stop();
    await expect(status()).rejects.toThrow(/EventStoreDB/);
    await standIn.start();
    await status();

    stopping.abort();
    await projecting;
    const replayed = await fixture.anotherGeneration();
    await fixture.catchUp(replayed, { store });
    expect(await dumpGeneration(fixture.pool, fixture.generation.schema)).toEqual(
      await dumpGeneration(fixture.pool, replayed.schema),
    );
  } finally {
    stopping.abort();
    await projecting;
    await fixture.close();
  }
});

function commandsInPortions(executor: RunCommandExecutor, portions: number): (() => Promise<void>)[] {
  const workload = {
    ...{ seed: 3, runs: 150, start: '2026-01-01T00:00:00.000Z', meanGapSeconds: 10, meanRunSeconds: 240 },
    ...{ workspaces: 3, tenantsPerWorkspace: 3, heartbeatSeconds: 60, idPrefix: 'run-' },
  };
  const commands = [...simulateWorkload(workload)].map(({ runId, command }, nth) => ({
    ...{ runId, command, commandId: `command-${nth}`, correlationId: 'faults' },
    ...{ actor: 'worker:test', plane: 'worker' as const },
  }));
  const size = Math.ceil(commands.length / portions);
  return Array.from({ length: portions }, (_, nth) => async () => {
    const portion = commands.slice(nth * size, (nth + 1) * size);
    for (let sent = 0; sent < portion.length; sent += 50)
      for (const result of await executor.executeMany(portion.slice(sent, sent + 50)))
        expect(result.kind).not.toBe('failed');
  });
}

test('a slow reader of a slow server stays whole, and one that has idled through days goes on at once', async () => {
  standIn.faults.deliveryDelayMs = 1;
  await store.appendMany(
    Array.from({ length: 20 }, () => ({
      streamId: newStream(),
      expectedRevision: 'no_stream' as const,
      events: newEvents(10),
    })),
  );
  const reader = follow(10, { pauseMs: 3 });
  await reader.has(200);
  standIn.faults.deliveryDelayMs = 0;
  // A day at rest is 2880 statistics of the server's own, and nothing for us.
  standIn.log.writeSystemEvents(2_880 * 3);
  standIn.cutConnections();
  await store.append({ streamId: newStream(), expectedRevision: 'no_stream', events: newEvents(1) });
  await reader.has(201);
  expect(idsOf(reader.kept)).toEqual(runEventsWritten());
});
