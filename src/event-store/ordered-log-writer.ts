import type { NewEvent, StoredEvent } from '../events/operation-run-events';
import type { EventStore } from './event-store';
import { LogOccupiedError } from './log-writer';
import type { LogWriter } from './log-writer';

/** Of one append: far below what any store takes at once. */
const MOST_EVENTS = 200;
const MOST_BYTES = 512 * 1024;

interface Part {
  readonly streamId: string;
  readonly firstRevision: number;
  readonly events: NewEvent[];
  bytes: number;
}

interface UnderWay {
  readonly streamId: string;
  /** Its error, if it failed: a value, because nobody may be waiting yet. */
  readonly outcome: Promise<Error | null>;
}

/**
 * Writes through the port, several appends at a time, each begun in the order of the log and only once every append more
 * than `inFlight` before it is in the log. So no two events change places that are further apart than that, and with one
 * in flight none do. Safe to repeat: what lies in its place already is left there.
 */
export function createOrderedLogWriter(store: EventStore, inFlight: number): LogWriter {
  const underWay: UnderWay[] = [];
  let failure: Error | null = null;

  const settleOldest = async () => {
    const error = await underWay.shift()?.outcome;
    failure ??= error ?? null;
  };
  const flush = async () => {
    while (underWay.length > 0) await settleOldest();
    if (failure) throw failure;
  };
  const begin = async (part: Part) => {
    // An append has to find the one before it on its stream in place.
    while (underWay.length >= inFlight || underWay.some(({ streamId }) => streamId === part.streamId))
      await settleOldest();
    if (failure) throw failure;
    const outcome = put(store, part).then(
      () => null,
      (error: unknown) => (error instanceof Error ? error : new Error(String(error))),
    );
    underWay.push({ streamId: part.streamId, outcome });
  };

  return {
    async write(events) {
      for (const part of partsOf(events)) await begin(part);
    },
    flush,
    close: () => flush().catch(() => undefined),
  };
}

/** Neighbours of one stream go together. */
function partsOf(events: readonly StoredEvent[]): Part[] {
  const parts: Part[] = [];
  for (const { streamId, revision, eventId, type, data, metadata } of events) {
    const bytes = Buffer.byteLength(JSON.stringify([type, data, metadata]));
    let part = parts.at(-1);
    if (part?.streamId !== streamId || part.events.length === MOST_EVENTS || part.bytes + bytes > MOST_BYTES)
      parts.push((part = { streamId, firstRevision: revision, events: [], bytes: 0 }));
    // The store that read it has checked nothing but that it is JSON, and neither store asks for more.
    part.events.push({ eventId, type, data, metadata } as NewEvent);
    part.bytes += bytes;
  }
  return parts;
}

async function put(
  store: EventStore,
  { streamId, firstRevision, events }: Omit<Part, 'bytes'>,
): Promise<void> {
  const expectedRevision = firstRevision === 0 ? 'no_stream' : firstRevision - 1;
  const result = await store.append({ streamId, expectedRevision, events });
  if (result.kind === 'appended') return;
  // The last appends of a writer that was killed may arrive after its successor has looked at the log.
  const there = await store.readStream(streamId, firstRevision);
  const inPlace =
    there.length <= events.length && there.every(({ eventId }, nth) => eventId === events[nth]!.eventId);
  if (there.length === 0 || !inPlace)
    throw new LogOccupiedError(
      `stream ${streamId} ends at revision ${result.actualRevision}, not at ${expectedRevision}: another process ` +
        'appended to the log meanwhile. Stop it; this log is no copy any more',
    );
  if (there.length < events.length)
    await put(store, {
      streamId,
      firstRevision: firstRevision + there.length,
      events: events.slice(there.length),
    });
}
