import type { EventStore } from '../../event-store/event-store';
import { micros } from '../../events/instant';
import type { StoredEvent } from '../../events/operation-run-events';
import { comparePositions } from '../../events/position';
import type { Position } from '../../events/position';
import type { Generation } from '../../projector/generations';

export interface LogPage {
  /** Those that count, of all up to `upTo`. */
  readonly events: readonly StoredEvent[];
  readonly upTo: Position;
}

/**
 * The log from a generation's checkpoint to its end, or to where a historical generation stops. The next page is on its
 * way while the consumer works on this one. A page that is not full is the last: to go on for as long as there are events
 * would never end beside appenders that are as fast as the consumer.
 */
export async function* logPages(
  store: EventStore,
  generation: Generation,
  eventsPerPage: number,
  signal: AbortSignal,
): AsyncGenerator<LogPage, void, void> {
  const end = endOf(generation);
  let reading = store.readAll(generation.checkpoint, eventsPerPage);
  try {
    for (;;) {
      const read = await reading;
      const last = read.findIndex((event) => end.stops(event));
      const events = last === -1 ? read : read.slice(0, last);
      if (events.length === 0 || signal.aborted) return;
      const upTo = events.at(-1)!.position;
      const isLast = events.length < eventsPerPage;
      if (!isLast) reading = store.readAll(upTo, eventsPerPage);
      reading.catch(() => undefined); // awaited at the next turn
      yield { events: events.filter((event) => !end.leavesOut(event)), upTo };
      if (isLast) return;
    }
  } finally {
    await Promise.allSettled([reading]);
  }
}

interface End {
  /** Whether this event and all after it lie beyond the end. */
  stops(event: StoredEvent): boolean;
  /** Whether this event is left out, though later ones may count. */
  leavesOut(event: StoredEvent): boolean;
}

/**
 * The end of a historical generation. By position it is a cut through the log. By instant it is what had happened by
 * then at the source: events of a later source time are left out, and whatever follows them in their stream.
 */
function endOf({ untilAt, untilPosition }: Generation): End {
  if (untilPosition)
    return { stops: (event) => comparePositions(event.position, untilPosition) > 0, leavesOut: () => false };
  if (untilAt === null) return { stops: () => false, leavesOut: () => false };
  const end = micros(untilAt);
  const ended = new Set<string>();
  return {
    stops: () => false,
    leavesOut(event) {
      if (ended.has(event.streamId)) return true;
      // An event without a readable time is kept, so that it is parked and seen; its payload may be `null` itself.
      const occurredAt = (event.data as { occurredAt?: unknown } | null)?.occurredAt;
      const later = typeof occurredAt === 'string' && microsOr(occurredAt, end) > end;
      if (later) ended.add(event.streamId);
      return later;
    },
  };
}

function microsOr(text: string, otherwise: number): number {
  try {
    return micros(text);
  } catch {
    return otherwise;
  }
}
