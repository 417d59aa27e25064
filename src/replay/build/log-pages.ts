import type { EventStore } from '../../event-store/event-store';
import type { StoredEvent } from '../../events/operation-run-events';
import { comparePositions } from '../../events/position';
import type { Position } from '../../events/position';
import type { Generation } from '../../projector/generations';
import { beyondEnd } from './historical-end';

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
  const { untilPosition } = generation;
  const isBeyondEnd = beyondEnd(generation);
  const ended = new Set<string>();
  const leavesOut = (event: StoredEvent) => {
    if (ended.has(event.streamId)) return true;
    if (!isBeyondEnd(event)) return false;
    ended.add(event.streamId);
    return true;
  };
  let reading = store.readAll(generation.checkpoint, eventsPerPage);
  try {
    for (;;) {
      const read = await reading;
      const last = untilPosition
        ? read.findIndex((event) => comparePositions(event.position, untilPosition) > 0)
        : -1;
      const events = last === -1 ? read : read.slice(0, last);
      if (events.length === 0 || signal.aborted) return;
      const upTo = events.at(-1)!.position;
      const isLast = events.length < eventsPerPage;
      if (!isLast) reading = store.readAll(upTo, eventsPerPage);
      reading.catch(() => undefined); // awaited at the next turn
      yield { events: events.filter((event) => !leavesOut(event)), upTo };
      if (isLast) return;
    }
  } finally {
    await Promise.allSettled([reading]);
  }
}
