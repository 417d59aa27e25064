import type { Append, EventFilter, EventStore } from '../../src/event-store/event-store';
import { streamOf } from '../../src/events/operation-run-events';
import type { StoredEvent } from '../../src/events/operation-run-events';
import { START, comparePositions, parsePosition } from '../../src/events/position';
import type { Position } from '../../src/events/position';

/** One test's part of a log that others write to at the same time, and did before. */
export interface Share {
  readonly name: string;
  /** The log's end when the share was made: a position. */
  readonly begins: string;
}

const PAGE = 1_000;

/**
 * A log that looks like one's own on a server that cannot be emptied: streams are renamed on the way in and back on the
 * way out, what belongs to others is left out, and the log begins where the share does.
 */
export function shareOfStore(store: EventStore, { name, begins }: Share): EventStore {
  const prefix = streamOf(`${name}.`);
  const begin = parsePosition(begins)!;
  // With the whole of its own name inside, so that an error still names the stream that the test knows.
  const inner = (streamId: string) => prefix + streamId;
  const outer = (streamId: string) => streamId.slice(prefix.length);
  const innerAppend = (append: Append): Append => ({ ...append, streamId: inner(append.streamId) });
  const own = (events: readonly StoredEvent[]): StoredEvent[] =>
    events
      .filter(({ streamId }) => streamId.startsWith(prefix))
      .map((event) => ({ ...event, streamId: outer(event.streamId) }));
  const later = (from: Position) => (comparePositions(from, begin) < 0 ? begin : from);

  /** Of each own event up to `examined`, so that no question of lag reads the log again. */
  const known: Pick<StoredEvent, 'position' | 'recordedAt'>[] = [];
  let examined = begin;

  async function lookOn(): Promise<void> {
    const end = await store.tail();
    while (comparePositions(examined, end) < 0) {
      const page = await store.readAll(examined, PAGE);
      // Another look may have been faster.
      const news = page.filter(({ position }) => comparePositions(position, examined) > 0);
      if (news.length === 0) return;
      known.push(...own(news).map(({ position, recordedAt }) => ({ position, recordedAt })));
      examined = news.at(-1)!.position;
    }
  }

  async function readAll(from: Position, limit: number, filter?: EventFilter): Promise<StoredEvent[]> {
    const events: StoredEvent[] = [];
    const pageSize = Math.min(PAGE, limit);
    let at = later(from);
    while (events.length < limit) {
      const page = await store.readAll(at, pageSize, filter);
      events.push(...own(page));
      if (page.length < pageSize) break;
      at = page.at(-1)!.position;
    }
    return events.slice(0, limit);
  }

  async function* ownBatches(batches: AsyncIterable<StoredEvent[]>): AsyncGenerator<StoredEvent[]> {
    for await (const batch of batches) {
      const events = own(batch);
      if (events.length > 0) yield events;
    }
  }

  return {
    append: (append) => store.append(innerAppend(append)),
    appendMany: (appends) => store.appendMany(appends.map(innerAppend)),
    readStream: async (streamId, fromRevision) => own(await store.readStream(inner(streamId), fromRevision)),
    async readStreams(streamIds) {
      const streams = await store.readStreams(streamIds.map(inner));
      return new Map([...streams].map(([streamId, events]) => [outer(streamId), own(events)]));
    },
    findEventIds: (asked) =>
      store.findEventIds(asked.map(({ streamId, eventId }) => ({ streamId: inner(streamId), eventId }))),
    readAll,
    subscribe: (from, options) => ownBatches(store.subscribe(later(from), options)),
    async pending(from, limit) {
      await lookOn();
      const events = known.filter(({ position }) => comparePositions(position, from) > 0);
      return { events: Math.min(limit, events.length), oldestRecordedAt: events[0]?.recordedAt ?? null };
    },
    async tail() {
      await lookOn();
      return known.at(-1)?.position ?? START;
    },
    identity: () => Promise.resolve(name),
    close: () => store.close(),
  };
}
