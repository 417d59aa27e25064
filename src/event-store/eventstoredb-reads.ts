import { StreamDeletedError, StreamNotFoundError } from '@eventstore/db-client';
import type { AllStreamResolvedEvent, RecordedEvent, ResolvedEvent } from '@eventstore/db-client';
import { hasRunPrefix } from '../events/operation-run-events';
import type { StoredEvent } from '../events/operation-run-events';
import { START, comparePositions } from '../events/position';
import type { Position } from '../events/position';
import type { EventFilter } from './event-store';
import type { LogClient } from './eventstoredb-client';
import { NoAnswerError } from './eventstoredb-errors';
import { storedEvent } from './eventstoredb-stored-event';

/** Asked of the server at once. More would be sent in vain when the reader has enough. */
const SMALLEST_PAGE = 64;
const LARGEST_PAGE = 4_096;
/** Read ahead of the loop that takes them; the connection's own window does the rest. */
const READ_AHEAD = 256;

interface Reading extends AsyncIterable<unknown> {
  on(event: 'data', listener: (resolved: ResolvedEvent) => void): this;
  on(event: 'error', listener: (error: Error) => void): this;
  on(event: 'end' | 'close', listener: () => void): this;
  cancel(): Promise<void>;
}

/**
 * Gives each event to `take` until it answers false or there are no more. Throws NoAnswerError when nothing comes for
 * `timeoutMs`: a read has no deadline of its own.
 */
function collect<E extends ResolvedEvent>(
  reading: Reading,
  timeoutMs: number,
  take: (resolved: E) => boolean,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let lastAt = performance.now();
    let settled = false;
    const settle = (error?: Error) => {
      if (settled) return;
      settled = true;
      clearInterval(timer);
      // Leaving the stream alone would not end the call at the server.
      void reading.cancel().catch(() => undefined);
      if (error) reject(error);
      else resolve();
    };
    const timer = setInterval(() => {
      if (performance.now() - lastAt > timeoutMs)
        settle(new NoAnswerError(`read: no answer within ${timeoutMs} ms`));
    }, timeoutMs / 4);
    reading.on('data', (resolved) => {
      lastAt = performance.now();
      // The caller's reading decides which of the two kinds of event comes.
      if (!settled && !take(resolved as E)) settle();
    });
    // Stays for good: what fails after the end of interest must not crash the process.
    reading.on('error', (error) => settle(isAbsence(error) ? undefined : error));
    reading.on('end', () => settle());
    reading.on('close', () => settle(new NoAnswerError('read: the connection was closed')));
  });
}

/** No events are there to be read, whether there never were any or the server's operator has deleted them. */
function isAbsence(error: Error): boolean {
  return error instanceof StreamNotFoundError || error instanceof StreamDeletedError;
}

/**
 * Whether an event is one of ours. The mark of a deleted stream stands in that stream, at the largest revision there is,
 * and comes with the run's own events wherever the whole log is read.
 */
export function isRunEvent({ streamId, type }: RecordedEvent): boolean {
  return hasRunPrefix(streamId) && !type.startsWith('$');
}

export async function readStream(
  client: LogClient,
  timeoutMs: number,
  streamId: string,
  fromRevision: number,
  limit = Number.MAX_SAFE_INTEGER,
): Promise<StoredEvent[]> {
  const events: StoredEvent[] = [];
  const reading = client.readStream(
    streamId,
    { fromRevision: BigInt(fromRevision), maxCount: limit },
    { highWaterMark: READ_AHEAD },
  );
  await collect<ResolvedEvent>(reading, timeoutMs, ({ event }) => {
    if (event) events.push(storedEvent(event));
    return true;
  });
  return events;
}

/**
 * Those of `eventIds` that the stream holds. The server cannot look by itself: from the newest on, where a repeat is found
 * soonest, and without keeping what was looked at.
 */
export async function findEventIds(
  client: LogClient,
  timeoutMs: number,
  streamId: string,
  eventIds: readonly string[],
): Promise<string[]> {
  const missing = new Set(eventIds);
  const reading = client.readStream(
    streamId,
    { direction: 'backwards', fromRevision: 'end' },
    { highWaterMark: READ_AHEAD },
  );
  await collect<ResolvedEvent>(reading, timeoutMs, ({ event }) => {
    if (event) missing.delete(event.id.toLowerCase());
    return missing.size > 0;
  });
  return eventIds.filter((eventId) => !missing.has(eventId));
}

/** Run events strictly after `from`, at most `limit`; the server has no filter for reads, so what is not ours is read past. */
export async function readAll(
  client: LogClient,
  timeoutMs: number,
  from: Position,
  limit: number,
  filter: EventFilter = {},
): Promise<StoredEvent[]> {
  const events: StoredEvent[] = [];
  await scanForwards(client, timeoutMs, from, limit, (event) => {
    if (isWanted(filter, event.type)) events.push(event);
    return events.length < limit;
  });
  return events;
}

export function isWanted({ types }: EventFilter, type: string): boolean {
  return !types?.length || types.includes(type);
}

/** Gives each run event after `from` to `take`, until that answers false or the log ends. */
export async function scanForwards(
  client: LogClient,
  timeoutMs: number,
  from: Position,
  limit: number,
  take: (event: StoredEvent) => boolean,
): Promise<void> {
  if (limit <= 0) return;
  let after = from;
  // One more than wanted, since a read begins with the event at its position.
  for (let page = clampPage(limit + 1); ; page = LARGEST_PAGE) {
    let examined = 0;
    let more = true;
    const reading = client.readAll({ fromPosition: after, maxCount: page }, { highWaterMark: READ_AHEAD });
    await collect<AllStreamResolvedEvent>(reading, timeoutMs, ({ event }) => {
      examined += 1;
      if (!event || comparePositions(event.position, after) <= 0) return true;
      after = event.position;
      if (isRunEvent(event)) more = take(storedEvent(event));
      return more;
    });
    if (!more || examined < page) return;
  }
}

function clampPage(events: number): number {
  return Math.min(LARGEST_PAGE, Math.max(SMALLEST_PAGE, events));
}

/** Where the log ends, whoever wrote its last event. */
export async function readEnd(client: LogClient, timeoutMs: number): Promise<Position> {
  let end = START;
  const reading = client.readAll({ direction: 'backwards', fromPosition: 'end', maxCount: 1 });
  await collect<AllStreamResolvedEvent>(reading, timeoutMs, ({ event }) => {
    if (event) end = event.position;
    return true;
  });
  return end;
}

/** What is known of a tail: no run event lies between it and `examinedTo`. */
export interface KnownTail {
  readonly tail: Position;
  readonly examinedTo: Position;
}

/**
 * The last run event. A log that is at rest goes on to hold what the server writes of itself, so each look goes back
 * only to where the one before had been.
 */
export async function readTail(
  client: LogClient,
  timeoutMs: number,
  known: KnownTail | undefined,
): Promise<KnownTail> {
  let before: Position | undefined;
  let end: Position | undefined;
  let tail: Position | undefined;
  for (let page = 1; ; page = Math.min(LARGEST_PAGE, page * 16)) {
    let examined = 0;
    const reading = client.readAll(
      { direction: 'backwards', fromPosition: before ?? 'end', maxCount: page },
      { highWaterMark: READ_AHEAD },
    );
    await collect<AllStreamResolvedEvent>(reading, timeoutMs, ({ event }) => {
      examined += 1;
      if (!event) return true;
      before = event.position;
      end ??= event.position;
      if (isRunEvent(event)) tail = event.position;
      // A log that ends before it was examined has been restored: nothing is known of it.
      else if (known && comparePositions(end, known.examinedTo) >= 0)
        if (comparePositions(event.position, known.examinedTo) <= 0) tail = known.tail;
      return tail === undefined;
    });
    if (tail) return { tail, examinedTo: end! };
    if (examined < page) return { tail: START, examinedTo: end ?? START };
  }
}
