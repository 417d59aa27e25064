import { LARGEST_INT } from '../../db/largest-int';
import type { EventStore, StreamPlace } from '../../event-store/event-store';
import type { StoredEvent } from '../../events/operation-run-events';
import type { Position } from '../../events/position';

export type ReadByStream = NonNullable<EventStore['readByStream']>;

interface StreamPage {
  readonly events: readonly StoredEvent[];
  readonly isLast: boolean;
}

/**
 * The log up to a position, stream after stream, from behind one on (empty: from the first). The next page is on its way while
 * the consumer works on this one.
 */
export async function* streamPages(
  readByStream: ReadByStream,
  { behind, upTo }: { readonly behind: string; readonly upTo: Position },
  eventsPerPage: number,
  signal: AbortSignal,
): AsyncGenerator<StreamPage, void, void> {
  const read = (from: StreamPlace) => readByStream(from, upTo, eventsPerPage);
  let reading = read(endOfStream(behind));
  try {
    for (;;) {
      const events = await reading;
      if (signal.aborted) return;
      const isLast = events.length < eventsPerPage;
      if (!isLast) reading = read(events.at(-1)!);
      reading.catch(() => undefined); // awaited at the next turn
      yield { events, isLast };
      if (isLast) return;
    }
  } finally {
    await Promise.allSettled([reading]);
  }
}

/** Behind all events of a stream; where none is done, before the first of any. */
function endOfStream(streamId: string): StreamPlace {
  return { streamId, revision: streamId === '' ? -1 : LARGEST_INT };
}
