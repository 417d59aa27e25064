import { createEventStoreDbEventStore } from '../../src/event-store/eventstoredb-event-store';
import type { EventStoreDbOptions } from '../../src/event-store/eventstoredb-event-store';
import type { EventStore } from '../../src/event-store/event-store';
import type { NewEvent, StoredEvent } from '../../src/events/operation-run-events';
import type { Position } from '../../src/events/position';
import { EventStoreDbStandIn } from '../support/eventstoredb-stand-in';
import type { StandInOptions } from '../support/eventstoredb-stand-in';
import { eventually, expectAppended, newEvents, newStream } from './event-store-fixtures';

export interface StandInFixture {
  standIn: EventStoreDbStandIn;
  /** Opened for each test; `open` gives others, on other terms. */
  store: EventStore;
  /** What the stores survived, and how often a subscription was taken up again, by the type of error. */
  readonly survived: Error[];
  readonly restarts: Map<string, number>;
  open(more?: Partial<EventStoreDbOptions>): EventStore;
  create(
    count?: number,
    store?: EventStore,
  ): Promise<{ streamId: string; events: NewEvent[]; revision: number; position: Position }>;
  /** Follows in the background. `done` settles when the subscription ends, with its error if there is one. */
  read(from: Position, batchSize?: number, store?: EventStore): Reader;
}

export interface Reader {
  readonly events: StoredEvent[];
  readonly done: Promise<Error | undefined>;
  has(count: number): Promise<number>;
  stop(): Promise<void>;
}

/** A stand-in and stores on it; everything is closed after each test, and nothing may be left open. */
export function standInFixture(options: StandInOptions = {}): StandInFixture {
  const stores: EventStore[] = [];
  const readers: Reader[] = [];
  const fixture: StandInFixture = {
    // Both are set before each test.
    standIn: undefined as unknown as EventStoreDbStandIn,
    store: undefined as unknown as EventStore,
    survived: [],
    restarts: new Map<string, number>(),

    open(more = {}) {
      const store = createEventStoreDbEventStore({
        url: fixture.standIn.url,
        onError: (error) => fixture.survived.push(error),
        observer: () => ({
          restarted: (type) => fixture.restarts.set(type, (fixture.restarts.get(type) ?? 0) + 1),
        }),
        retryForMs: 5_000,
        ...more,
      });
      stores.push(store);
      return store;
    },

    async create(count = 1, store = fixture.store) {
      const streamId = newStream();
      const events = newEvents(count);
      const result = await store.append({ streamId, expectedRevision: 'no_stream', events });
      return { streamId, events, ...expectAppended(result) };
    },

    read(from, batchSize = 100, store = fixture.store) {
      const stopping = new AbortController();
      const events: StoredEvent[] = [];
      const run = async () => {
        for await (const batch of store.subscribe(from, { batchSize, signal: stopping.signal }))
          events.push(...batch);
      };
      const done = run().then(
        () => undefined,
        (error: unknown) => error as Error,
      );
      const reader = {
        events,
        done,
        has: (count: number) =>
          eventually(
            () => Promise.resolve(events.length),
            (length) => length >= count,
          ),
        async stop() {
          stopping.abort();
          await done;
        },
      };
      readers.push(reader);
      return reader;
    },
  };

  beforeEach(async () => {
    fixture.standIn = new EventStoreDbStandIn(options);
    await fixture.standIn.start();
    fixture.survived.length = 0;
    fixture.restarts.clear();
    fixture.store = fixture.open();
    // As every process does at its start.
    await fixture.store.identity();
  });
  afterEach(async () => {
    await Promise.all(readers.splice(0).map((reader) => reader.stop()));
    await Promise.all(stores.splice(0).map((store) => store.close()));
    await eventually(
      () => Promise.resolve(fixture.standIn.connections),
      (connections) => connections === 0,
    );
    await fixture.standIn.stop();
  });
  return fixture;
}
