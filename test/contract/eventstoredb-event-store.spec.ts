import type { EventStore } from '../../src/event-store/event-store';
import { createEventStoreDbEventStore } from '../../src/event-store/eventstoredb-event-store';
import { EventStoreDbStandIn } from '../support/eventstoredb-stand-in';
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

// A stand-in encodes a reading of the server; this is the server itself. Its log is added to, nothing is removed.
const realServer = process.env.EVENT_STORE_TEST_URL;
if (realServer) eventStoreContract('EventStoreDB at EVENT_STORE_TEST_URL', () => makeStore(realServer));
