import type { EventStore } from '../../src/event-store/event-store';

/** The same log as one that cannot be read stream after stream: builds go through it in its own order, as EventStoreDB's. */
export function inLogOrder(store: EventStore): EventStore {
  const { readByStream: _, ...rest } = store;
  return rest;
}
