import type { Copied } from '../../src/event-copy/copy-events';
import { createEventStoreDbEventStore } from '../../src/event-store/eventstoredb-event-store';
import { createPostgresEventStore } from '../../src/event-store/postgres-event-store';
import type { EventStore } from '../../src/event-store/event-store';
import { START } from '../../src/events/position';
import { createRandom } from '../../src/simulator/random';
import { simulateWorkload } from '../../src/simulator/workload';
import { runScript } from '../support/child-process';
import { createTestDatabase } from '../support/database';
import { EventStoreDbStandIn } from '../support/eventstoredb-stand-in';
import { createProjectionFixture, dumpWithoutPositions, TEST_POLICY } from '../support/projection';
import type { ProjectionFixture } from '../support/projection';

const WORKLOAD = {
  seed: 11,
  runs: 350,
  start: '2026-01-01T00:00:00.000Z',
  meanGapSeconds: 5,
  workspaces: 3,
  tenantsPerWorkspace: 4,
  meanRunSeconds: 240,
  heartbeatSeconds: 60,
  idPrefix: 'run-',
};
const KILLS = 2;

let fixture: ProjectionFixture;
const standIn = new EventStoreDbStandIn();
beforeAll(async () => {
  await standIn.start();
  // Whatever log the other suites are run on: this one is between the two.
  fixture = await createProjectionFixture(TEST_POLICY, 'postgres');
  await fixture.write(simulateWorkload(WORKLOAD));
  await fixture.catchUp();
});
afterAll(async () => {
  await fixture.close();
  await standIn.stop();
});

/** Copies in processes that are killed after a few batches, until one comes to the end. */
async function copyAmongKills(
  from: string,
  to: string,
  inFlight: number,
): Promise<Copied & { kills: number }> {
  const random = createRandom(inFlight);
  for (let kills = 0; ; kills++) {
    const copying = runScript('copy-script.ts', from, to, String(inFlight));
    const batches = kills < KILLS ? random.integer(1, 2) : Number.MAX_SAFE_INTEGER;
    let outcome: string | null = null;
    for (let batch = 0; batch < batches && outcome === null; batch++) {
      outcome = await copying.line((line) => line === 'copying' || line.startsWith('{'));
      if (outcome === null) throw new Error('the copy ended by itself');
      if (outcome === 'copying') outcome = null;
    }
    if (outcome === null) copying.child.kill('SIGKILL');
    await copying.ended;
    if (outcome !== null) return { ...(JSON.parse(outcome) as Copied), kills };
  }
}

async function everything(store: EventStore) {
  const events = await store.readAll(START, 100_000);
  await store.close();
  return events.map(({ position: _position, ...event }) => event);
}

/** The read tables that a replay of the whole log makes. */
async function replayed(store: EventStore) {
  const generation = await fixture.anotherGeneration();
  await fixture.catchUp(generation, { store });
  return dumpWithoutPositions(fixture.pool, generation.schema);
}

const byStream = (events: Awaited<ReturnType<typeof everything>>) =>
  [...events]
    .sort((a, b) => (a.streamId === b.streamId ? a.revision - b.revision : a.streamId < b.streamId ? -1 : 1))
    .map(({ recordedAt: _recordedAt, ...event }) => event);

test('there and back again among kills: the same events, the same order, the same read tables from each log', async () => {
  const there = await copyAmongKills(fixture.databaseUrl, standIn.url, 16);
  expect(there.kills).toBe(KILLS);
  expect(there.copied).toBeLessThan(there.verified.events);
  const onError = (error: Error) => console.error(error);
  const openCopy = () => createEventStoreDbEventStore({ url: standIn.url, onError });
  const original = await everything({ ...fixture.store, close: () => Promise.resolve() });
  expect(there.verified).toMatchObject({ events: original.length });
  expect(byStream(await everything(openCopy()))).toEqual(byStream(original));

  const database = await createTestDatabase();
  const back = await copyAmongKills(standIn.url, database.url, 1);
  expect(back.kills).toBe(KILLS);
  expect(back.verified).toMatchObject({ digest: there.verified.digest, sameOrder: true });
  const openBack = () => createPostgresEventStore({ pool: database.pool, onError });
  // Also when they were first recorded, as EventStoreDB tells it.
  expect(await everything(openBack())).toEqual(await everything(openCopy()));

  const before = await dumpWithoutPositions(fixture.pool, fixture.generation.schema);
  for (const store of [openCopy(), openBack()]) {
    expect(await replayed(store)).toEqual(before);
    await store.close();
  }
  await database.close();
}, 240_000);
