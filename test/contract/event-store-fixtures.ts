import { randomUUID } from 'node:crypto';
import type { AppendResult, EventFilter, EventStore } from '../../src/event-store/event-store';
import type { EventMetadata, NewEvent, StoredEvent } from '../../src/events/operation-run-events';
import { streamOf } from '../../src/events/operation-run-events';
import { comparePositions, formatPosition } from '../../src/events/position';
import type { Position } from '../../src/events/position';

export const TIMEOUT_MS = 15_000;

export const metadata: EventMetadata = {
  actor: 'worker:backup',
  plane: 'worker',
  commandId: 'command-1',
  correlationId: 'correlation-1',
  causationId: 'causation-1',
};

export function newEvent(data: unknown = {}, type = 'OperationRunProgressed'): NewEvent {
  return { eventId: randomUUID(), type, data, metadata };
}

export function newEvents(count: number): NewEvent[] {
  return Array.from({ length: count }, (_, n) => newEvent({ n }));
}

/** Never the same stream twice, so that the log under test need not be empty. */
export function newStream(): string {
  return streamOf(randomUUID());
}

/** Looks again until what is read is as expected: readers may lag behind transactions of other tests. */
export async function eventually<T>(read: () => Promise<T>, done: (value: T) => boolean): Promise<T> {
  const giveUpAt = Date.now() + TIMEOUT_MS;
  for (;;) {
    const value = await read();
    if (done(value)) return value;
    if (Date.now() > giveUpAt) throw new Error(`not within ${TIMEOUT_MS} ms, last read: ${String(value)}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** The first `count` events of a subscription, which it then leaves. */
export async function follow(
  store: EventStore,
  from: Position,
  count: number,
  options: { batchSize?: number; filter?: EventFilter } = {},
): Promise<StoredEvent[]> {
  const events: StoredEvent[] = [];
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  for await (const batch of store.subscribe(from, { batchSize: 100, signal, ...options })) {
    events.push(...batch);
    if (events.length >= count) return events;
  }
  throw new Error(`${events.length} of ${count} events within ${TIMEOUT_MS} ms`);
}

export function expectAppended(
  result: AppendResult | undefined,
): Extract<AppendResult, { kind: 'appended' }> {
  if (result?.kind !== 'appended') throw new Error(`not appended: ${JSON.stringify(result)}`);
  return result;
}

export function expectLogOrder(events: readonly StoredEvent[]): void {
  for (let at = 1; at < events.length; at++) {
    const [a, b] = [events[at - 1]!, events[at]!];
    if (comparePositions(a.position, b.position) >= 0)
      throw new Error(`${formatPosition(b.position)} comes after ${formatPosition(a.position)}`);
  }
}

export const idsOf = (events: readonly { eventId: string }[]) => events.map((event) => event.eventId);

/** The log of the test that runs, and where it stood when the test began. */
export interface LogUnderTest {
  store: EventStore;
  start: Position;
  create(streamId: string, events: NewEvent[]): Promise<Extract<AppendResult, { kind: 'appended' }>>;
  /** At least `count` events of this test, as soon as they can be read. */
  readFromStart(count: number, filter?: EventFilter): Promise<StoredEvent[]>;
}
