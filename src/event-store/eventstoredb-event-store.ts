import { randomUUID } from 'node:crypto';
import { comparePositions, formatPosition } from '../events/position';
import type { Position } from '../events/position';
import { orRefused } from './encode-event';
import { refuseIfClosed } from './event-store';
import type { EventStore } from './event-store';
import { createSlots } from '../tools/slots';
import { APPENDS_IN_FLIGHT, appendEvents, appendOne } from './eventstoredb-appends';
import type { AppendOptions } from './eventstoredb-appends';
import { LogClient } from './eventstoredb-client';
import { createConnection } from './eventstoredb-connection';
import { parseConnectionString } from './eventstoredb-connection-string';
import { AnotherLogError, PositionBeyondLogError } from './eventstoredb-errors';
import { createPendingCounter } from './eventstoredb-pending';
import { findEventIds, readAll, readEnd, readStream, readTail, scanForwards } from './eventstoredb-reads';
import type { KnownTail } from './eventstoredb-reads';
import { follow } from './eventstoredb-subscription';
import type { Progress, SubscriptionObserver } from './eventstoredb-subscription';

export interface EventStoreDbOptions {
  /** `esdb://` or `esdb+discover://`, as the client knows them, or kurrentdb's spelling. Never printed. */
  readonly url: string;
  /** Told of what the store survives: every end of a subscription that is taken up again. */
  readonly onError: (error: Error) => void;
  readonly observer?: SubscriptionObserver;
  /** For one attempt of an append; the same append is then sent again. (Default: 10000) */
  readonly appendTimeoutMs?: number;
  /** For a read to give its next event. (Default: 10000) */
  readonly readTimeoutMs?: number;
  /** For appends and reads to succeed while the server cannot be reached, restarts or elects. (Default: 15000) */
  readonly retryForMs?: number;
  /** How often a subscription to which nothing comes asks whether there would be something. (Default: 15000) */
  readonly probeEveryMs?: number;
}

const DEFAULT_TIMEOUT_MS = 10_000;
const DEFAULT_RETRY_FOR_MS = 15_000;
const DEFAULT_PROBE_EVERY_MS = 15_000;
/** Questions of health and lag: a late answer is worth less than the news that there is none. */
const LOOK_FOR_MS = 2_000;
/** Streams read at once. */
const READS_IN_FLIGHT = 16;

/** The stream whose one event's id is the log's name. No projection of ours reads it. */
const NAME_STREAM = 'opstruth_event_log';

/**
 * The log in EventStoreDB or KurrentDB (24.10.5 or later). Appends and reads are repeated while the server cannot be
 * reached, then throw EventStoreUnavailableError; all are safe to repeat. A subscription survives every end of its
 * connection and throws when going on would skip events. Throws ConnectionStringError.
 */
export function createEventStoreDbEventStore(options: EventStoreDbOptions): EventStore {
  const { url, onError, observer } = options;
  const timeoutMs = options.readTimeoutMs ?? DEFAULT_TIMEOUT_MS;
  const retryForMs = options.retryForMs ?? DEFAULT_RETRY_FOR_MS;
  const lookForMs = Math.min(LOOK_FOR_MS, retryForMs);
  const settings = parseConnectionString(url);
  const closing = new AbortController();
  const log = createConnection(() => new LogClient(settings, settings.nodePreference));
  // Deciding needs the newest events and the true end of the log, which only the leader is sure to have.
  const leader =
    settings.discover && settings.nodePreference !== 'leader'
      ? createConnection(() => new LogClient(settings, 'leader'))
      : log;

  const readOf = (streamId: string, fromRevision: number, limit?: number) =>
    leader.run(`read of ${streamId}`, retryForMs, (client) =>
      readStream(client, timeoutMs, streamId, fromRevision, limit),
    );
  const appending: AppendOptions = {
    connection: leader,
    attemptTimeoutMs: options.appendTimeoutMs ?? DEFAULT_TIMEOUT_MS,
    retryForMs,
    inSlot: createSlots(APPENDS_IN_FLIGHT),
    read: readOf,
  };

  const countPending = createPendingCounter();
  let knownTail: KnownTail | undefined;
  const tail = async (): Promise<Position> => {
    knownTail = await leader.run('read of the tail', lookForMs, (client) =>
      readTail(client, lookForMs, knownTail),
    );
    return knownTail.tail;
  };

  const identity = async (): Promise<string> => {
    for (;;) {
      const [named] = await readOf(NAME_STREAM, 0, 1);
      if (named) return named.eventId;
      const event = { eventId: randomUUID(), type: 'EventLogNamed', data: '{}', metadata: '{}' };
      // Another process may be first; the next look tells.
      await appendOne(appending, { streamId: NAME_STREAM, expectedRevision: 'no_stream', events: [event] });
    }
  };

  let knownIdentity: string | undefined;
  /** Asked at every start of a subscription, of the very server it has just begun on. */
  const refuseUnlessSame = async ({ handedOut, reached }: Progress): Promise<void> => {
    const found = await identity();
    knownIdentity ??= found;
    if (found !== knownIdentity)
      throw new AnotherLogError(
        `the event log was ${knownIdentity} and is now ${found}: another store answers under this address`,
      );
    // What the server has written of itself since a restore may have brought the end past `reached` again.
    knownTail = undefined;
    const ends = [
      [handedOut, await tail()],
      [reached, await leader.run('read of the end', lookForMs, (client) => readEnd(client, lookForMs))],
    ] as const;
    for (const [position, end] of ends)
      if (comparePositions(position, end) > 0)
        throw new PositionBeyondLogError(
          `reading had reached ${formatPosition(position)}, but the log ends at ${formatPosition(end)}: it was ` +
            'restored or replaced; restore the read side with it, or build a new generation',
        );
  };

  return {
    append: async (append) => orRefused(await appendEvents(appending, [append])),
    appendMany: (appends) => appendEvents(appending, appends),
    readStream: (streamId, fromRevision = 0) => readOf(streamId, fromRevision),
    async readStreams(streamIds) {
      const inSlot = createSlots(READS_IN_FLIGHT);
      const unique = [...new Set(streamIds)];
      const streams = await Promise.all(unique.map((streamId) => inSlot(() => readOf(streamId, 0))));
      return new Map(
        unique
          .map((streamId, at) => [streamId, streams[at]!] as const)
          .filter(([, events]) => events.length > 0),
      );
    },
    async findEventIds(asked) {
      const idsIn = new Map<string, string[]>();
      for (const { streamId, eventId } of asked)
        idsIn.set(streamId, [...(idsIn.get(streamId) ?? []), eventId.toLowerCase()]);
      const inSlot = createSlots(READS_IN_FLIGHT);
      const found = await Promise.all(
        [...idsIn].map(([streamId, ids]) =>
          inSlot(() =>
            leader.run(`look into ${streamId}`, retryForMs, (client) =>
              findEventIds(client, timeoutMs, streamId, ids),
            ),
          ),
        ),
      );
      return new Set(found.flat());
    },
    readAll: (from, limit, filter) =>
      log.run('read of the log', retryForMs, (client) => readAll(client, timeoutMs, from, limit, filter)),
    subscribe(from, { batchSize, filter = {}, signal }) {
      refuseIfClosed(closing.signal);
      return follow(
        { connection: log, refuseUnlessSame, tail, onError, ...(observer && { observer }) },
        {
          from,
          batchSize,
          filter,
          probeEveryMs: options.probeEveryMs ?? DEFAULT_PROBE_EVERY_MS,
          timeoutMs,
          signal: AbortSignal.any([signal, closing.signal]),
        },
      );
    },
    async pending(from, limit) {
      // A log at rest goes on to fill with what the server writes of itself: no look may have to read all of that.
      if (comparePositions(from, await tail()) >= 0) return { events: 0, oldestRecordedAt: null };
      return leader.run('count of the log', lookForMs, (client) =>
        countPending((after, most, take) => scanForwards(client, timeoutMs, after, most, take), from, limit),
      );
    },
    tail,
    identity,
    async close() {
      closing.abort();
      await Promise.all([log.close(), leader.close()]);
    },
  };
}
