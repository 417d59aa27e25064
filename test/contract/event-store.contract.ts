import type { EventStore } from '../../src/event-store/event-store';
import { appendContract } from './append.contract';
import { eventually, expectAppended } from './event-store-fixtures';
import type { LogUnderTest } from './event-store-fixtures';
import { readingContract } from './reading.contract';

/** What both adapters of the event-store port owe their callers. `makeStore` runs before each test. */
export function eventStoreContract(
  name: string,
  makeStore: () => Promise<{ store: EventStore; close: () => Promise<void> }>,
): void {
  describe(`${name}: event store contract`, () => {
    let close: () => Promise<void>;
    const log = {
      create: async (streamId, events) =>
        expectAppended(await log.store.append({ streamId, expectedRevision: 'no_stream', events })),
      readFromStart: (count, filter) =>
        eventually(
          () => log.store.readAll(log.start, 1_000, filter),
          (events) => events.length >= count,
        ),
      // `store` and `start` are set before each test.
    } as LogUnderTest;

    beforeEach(async () => {
      const made = await makeStore();
      close = made.close;
      log.store = made.store;
      log.start = await made.store.tail();
    });
    afterEach(() => close());

    appendContract(log);
    readingContract(log);
  });
}
