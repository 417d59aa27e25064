import { randomUUID } from 'node:crypto';
import type { EventStore } from '../../src/event-store/event-store';
import { createEventStoreDbEventStore } from '../../src/event-store/eventstoredb-event-store';
import { formatPosition } from '../../src/events/position';
import { EventStoreDbStandIn } from '../support/eventstoredb-stand-in';
import { shareOfStore } from '../support/shared-store';
import { chosenLog } from '../support/test-log';
import { eventStoreContract } from './event-store.contract';

const standIn = new EventStoreDbStandIn();
const survived: Error[] = [];

beforeAll(() => standIn.start());
afterAll(() => standIn.stop());

function makeStore(url: string): Promise<{ store: EventStore; close: () => Promise<void> }> {
  survived.length = 0;
  const store = createEventStoreDbEventStore({ url, onError: (error) => survived.push(error) });
  return Promise.resolve({
    store,
    close: async () => {
      await store.close();
      expect(survived).toEqual([]);
    },
  });
}

eventStoreContract('EventStoreDB stand-in', () => makeStore(standIn.url));

describe('without batched appends', () => {
  beforeAll(() => (standIn.faults.noServerFeatures = true));
  afterAll(() => (standIn.faults.noServerFeatures = false));

  eventStoreContract('EventStoreDB stand-in', () => makeStore(standIn.url));
});

// A stand-in encodes a reading of the server; this is the server itself. Its log is added to, nothing is removed. Where
// the other suites of this run write to it as well, the contract has to be content with a share.
const realServer = process.env.EVENT_STORE_TEST_URL;
if (realServer)
  eventStoreContract('EventStoreDB at EVENT_STORE_TEST_URL', async () => {
    const { store, close } = await makeStore(realServer);
    if (chosenLog() !== 'server') return { store, close };
    const share = { name: randomUUID(), begins: formatPosition(await store.tail()) };
    return { store: shareOfStore(store, share), close };
  });
