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
import type { SimulatedCommand } from '../../src/simulator/workload';
import { eventually, idsOf, newEvents, newStream } from '../contract/event-store-fixtures';
import { EventStoreDbStandIn } from '../support/eventstoredb-stand-in';
import type { StandInLog } from '../support/eventstoredb-stand-in-log';
import { createProjectionFixture, dumpGeneration } from '../support/projection';

const KILLS = 20;
const SEED = 20_261_123;

let standIn: EventStoreDbStandIn;
let store: EventStore;
const restarts = new Map<string, number>();

beforeEach(async () => {
  standIn = new EventStoreDbStandIn();
  await standIn.start();
  restarts.clear();
  store = createEventStoreDbEventStore({
    url: standIn.url,
    onError: () => undefined,
    observer: { restarted: (type) => restarts.set(type, (restarts.get(type) ?? 0) + 1) },
    appendTimeoutMs: 400,
  });
  await store.identity();
});
afterEach(async () => {
  await store.close();
  await standIn.stop();
});

/** Kills the server, cuts its connections and loses its answers, at random and each time for a random while. */
async function disturb(kills: number, random = createRandom(SEED)): Promise<void> {
  for (let kill = 0; kill < kills; kill++) {
    await sleep(random.integer(20, 120));
    standIn.faults.repliesLost = random.integer(0, 2);
    if (random.chance(0.5)) standIn.cutConnections();
    if (random.chance(0.3)) standIn.faults.notReady = random.integer(1, 3);
    if (random.chance(0.3)) standIn.endSubscriptions();
    await sleep(random.integer(0, 40));
    // Each kill takes somebody by surprise; readers may be anywhere between the question of identity and the tenth batch.
    await eventually(
      () => Promise.resolve(standIn.subscribed),
      (subscribed) => subscribed > 0,
    );
    await standIn.stop();
    await sleep(random.integer(0, 60));
    await standIn.start();
  }
  standIn.faults.repliesLost = standIn.faults.notReady = 0;
}

/** What the server itself has of runs, in its own order. */
function runEventsOf(log: StandInLog): string[] {
  const ids: string[] = [];
  for (let at = 0; at < log.length; at++) {
    const record = log.at(at)!;
    if (isRunStream(record.streamId)) ids.push(record.id);
  }
  return ids;
}

/**
 * As the projector: takes a batch, stores it with the checkpoint, and now and then dies before it could and starts over
 * from what it had stored.
 */
function follow(batchSize: number, options: { pauseMs?: number; diesWith?: number } = {}) {
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
  return {
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
}

test(`a server killed ${KILLS} times under load: every append once, every event once, in order, for every reader`, async () => {
  const readers = [follow(500), follow(7, { pauseMs: 1, diesWith: 0.05 }), follow(64, { diesWith: 0.1 })];
  let over = false;
  const write = async () => {
    const acknowledged: string[] = [];
    while (!over) {
      const streams = Array.from({ length: 5 }, newStream);
      for (const expectedRevision of ['no_stream', 1] as const) {
        const appends = streams.map((streamId) => ({ streamId, expectedRevision, events: newEvents(2) }));
        const results = await store.appendMany(appends);
        expect(results.map(({ kind }) => kind)).toEqual(appends.map(() => 'appended'));
        acknowledged.push(...appends.flatMap(({ events }) => idsOf(events)));
      }
      await sleep(2);
    }
    return acknowledged;
  };
  const writers = Array.from({ length: 3 }, write);
  await disturb(KILLS);
  over = true;
  const acknowledged = (await Promise.all(writers)).flat();
  const written = runEventsOf(standIn.log);
  expect([...written].sort()).toEqual([...acknowledged].sort());
  for (const reader of readers) {
    await reader.has(written.length);
    await reader.stop();
    expect(idsOf(reader.kept)).toEqual(written);
  }
  expect([...restarts.values()].reduce((sum, count) => sum + count, 0)).toBeGreaterThanOrEqual(KILLS);
});

test('the projector over a server that is killed again and again makes the tables that it makes in peace', async () => {
  const fixture = await createProjectionFixture();
  const options = { ...fixture.options, store, batchSize: 200 };
  const stopping = new AbortController();
  const projecting = projectGeneration(fixture.generation.id, options, stopping.signal);
  const status = async () => {
    const { generations } = await projectionStatus(fixture.pool, store, systemClock);
    return generations.find(({ generation }) => generation === fixture.generation.id)!;
  };
  const workload = {
    seed: 3,
    runs: 300,
    start: '2026-01-01T00:00:00.000Z',
    meanGapSeconds: 10,
    workspaces: 3,
    tenantsPerWorkspace: 3,
    meanRunSeconds: 240,
    heartbeatSeconds: 60,
    idPrefix: 'run-',
  };
  const executor = new RunCommandExecutor({ store, judge: () => fixture.judge });
  const command = async () => {
    let commands: SimulatedCommand[] = [];
    let sent = 0;
    const send = async () => {
      const batch = commands.map(({ runId, command }) => ({
        runId,
        command,
        commandId: `command-${++sent}`,
        actor: 'worker:test',
        plane: 'worker' as const,
        correlationId: 'faults',
      }));
      for (const result of await executor.executeMany(batch)) expect(result.kind).not.toBe('failed');
      commands = [];
    };
    for (const one of simulateWorkload(workload)) if (commands.push(one) === 50) await send();
    await send();
  };
  const commanding = command();
  await disturb(10);
  await commanding;
  const written = runEventsOf(standIn.log).length;
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
  await fixture.close();
});

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
  await reader.stop();
  expect(idsOf(reader.kept)).toEqual(runEventsOf(standIn.log));
});
