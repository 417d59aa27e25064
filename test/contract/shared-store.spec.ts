import { randomUUID } from 'node:crypto';
import { createEventStoreDbEventStore } from '../../src/event-store/eventstoredb-event-store';
import { START, formatPosition } from '../../src/events/position';
import { EventStoreDbStandIn } from '../support/eventstoredb-stand-in';
import { shareOfStore } from '../support/shared-store';
import { chosenLog, logsWorthTesting } from '../support/test-log';
import { eventStoreContract } from './event-store.contract';
import { idsOf, newEvents, newStream } from './event-store-fixtures';

const standIn = new EventStoreDbStandIn();
beforeAll(() => standIn.start());
afterAll(() => standIn.stop());

async function openShare() {
  const store = createEventStoreDbEventStore({ url: standIn.url, onError: (error) => console.error(error) });
  return shareOfStore(store, { name: randomUUID(), begins: formatPosition(await store.tail()) });
}

eventStoreContract('share of a server', async () => {
  const store = await openShare();
  return { store, close: () => store.close() };
});

test('of two shares none sees what is in the other, not even in a stream of the same name', async () => {
  const shares = [await openShare(), await openShare()];
  const streamId = newStream();
  for (const store of shares) {
    const events = newEvents(2);
    await store.append({ streamId, expectedRevision: 'no_stream', events });
    expect(idsOf(await store.readAll(START, 10))).toEqual(idsOf(events));
    expect(await store.pending(START, 10)).toMatchObject({ events: 2 });
  }
  expect(await shares[0]!.identity()).not.toBe(await shares[1]!.identity());
  for (const store of shares) await store.close();
});

test.each([
  [{}, 'postgres'],
  [{ EVENT_STORE: 'stand-in', EVENT_STORE_TEST_URL: 'esdb://host' }, 'stand-in'],
  [{ EVENT_STORE_TEST_URL: 'esdb://host' }, 'server'],
])('the switch %j chooses %s', (env, kind) => {
  expect(chosenLog(env)).toBe(kind);
});

test('a switch that chooses nothing is told', () => {
  expect(() => chosenLog({ EVENT_STORE: 'mysql' })).toThrow(/one of postgres, stand-in, server/);
  expect(() => chosenLog({ EVENT_STORE: 'server' })).toThrow(/EVENT_STORE_TEST_URL/);
  expect(logsWorthTesting().length).toBeGreaterThan(0);
});
