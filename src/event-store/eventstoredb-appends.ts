import type { JSONType } from '@eventstore/db-client';
import { ErrorType, WrongExpectedVersionError, isCommandError, jsonEvent } from '@eventstore/db-client';
import type { StoredEvent } from '../events/operation-run-events';
import type { Position } from '../events/position';
import { encodeEvents, refusalOf } from './encode-event';
import { EventTooLargeError, StreamGoneError } from './event-store';
import type { Append, AppendResult } from './event-store';
import type { Appended, PreparedAppend } from './eventstoredb-batch-appends';
import type { LogClient } from './eventstoredb-client';
import type { Connection } from './eventstoredb-connection';
import { within } from './eventstoredb-errors';
import { isNoPosition } from './eventstoredb-stored-event';

/** Of server 24.10 and later, all events of one append together; a server may be set lower. */
export const MAX_APPEND_BYTES = 1024 * 1024;
/** In flight at once: one at a time waits for the disk each time, and more than this gains nothing. */
export const APPENDS_IN_FLIGHT = 32;

export interface AppendOptions {
  readonly connection: Connection;
  /** For one attempt; the client itself has no limit. */
  readonly attemptTimeoutMs: number;
  /** For all attempts of one append. */
  readonly retryForMs: number;
  /** Shared by all calls of one store. */
  readonly inSlot: <T>(work: () => Promise<T>) => Promise<T>;
  /** Events of a stream from a revision on, at most so many. */
  readonly read: (streamId: string, fromRevision: number, limit: number) => Promise<StoredEvent[]>;
}

/**
 * Writes each append whole or not at all, several at a time. Every attempt names the same events at the same place, so
 * that the server recognises what it has already: an attempt whose answer was lost is simply made again.
 */
export async function appendEvents(
  options: AppendOptions,
  appends: readonly Append[],
): Promise<AppendResult[]> {
  refuseRepeatedStreams(appends);
  // All of them come to an end before an error is thrown: nothing of a call is under way after it.
  const settled = await Promise.allSettled(
    appends.map(async (append) => {
      const prepared = prepare(append);
      return options.inSlot(() => appendOne(options, prepared));
    }),
  );
  return settled.map((one) => {
    if (one.status === 'fulfilled') return one.value;
    const refusal = refusalOf(one.reason);
    if (!refusal) throw one.reason;
    return refusal;
  });
}

function prepare(append: Append): PreparedAppend {
  const { streamId, expectedRevision } = append;
  const events = encodeEvents(append);
  const bytes = events.reduce((sum, event) => sum + bytesOf(event), 0);
  if (bytes > MAX_APPEND_BYTES)
    throw new EventTooLargeError(
      `append of ${events.length} events to ${streamId} is ${bytes} bytes, more than EventStoreDB takes at once ` +
        `(${MAX_APPEND_BYTES}); append them in parts`,
    );
  return { streamId, expectedRevision, events };
}

/** As the server counts: its strings have two bytes a character. */
function bytesOf({ data, metadata, type }: PreparedAppend['events'][number]): number {
  return Buffer.byteLength(data) + Buffer.byteLength(metadata) + 2 * type.length;
}

function refuseRepeatedStreams(appends: readonly Append[]): void {
  const seen = new Set<string>();
  for (const { streamId } of appends) {
    if (seen.has(streamId))
      throw new Error(`stream ${streamId} appears twice in one call; merge its events first`);
    seen.add(streamId);
  }
}

/** As `appendEvents`, for what is encoded already. */
export async function appendOne(options: AppendOptions, append: PreparedAppend): Promise<AppendResult> {
  const { connection, attemptTimeoutMs, retryForMs } = options;
  let attempts = 0;
  const appended = await connection.run(`append to ${append.streamId}`, retryForMs, (client, attempt) => {
    attempts = attempt;
    return attemptAppend(client, append, attemptTimeoutMs);
  });
  if (appended.kind === 'written') {
    const { revision, position } = appended;
    // The server answers alike for what it has written and for what it has recognised.
    const isNew = false;
    // What a server answers to an append it recognises is not the same in all versions; the event itself is.
    if (position && !isNoPosition(position.commit) && attempts === 1)
      return { kind: 'appended', revision, position, isNew };
    return {
      kind: 'appended',
      revision,
      position: await positionOf(options, append.streamId, revision),
      isNew,
    };
  }
  const place = await placeOfRetry(options, append, appended);
  return place ?? { kind: 'conflict', actualRevision: appended.actual };
}

async function attemptAppend(
  client: LogClient,
  append: PreparedAppend,
  timeoutMs: number,
): Promise<Appended> {
  const what = `append to ${append.streamId}`;
  const batches = await within(timeoutMs, what, client.batchAppends());
  if (batches) return batches.send(append, timeoutMs);
  return within(timeoutMs, what, appendAlone(client, append, timeoutMs));
}

/** One call for one append, with servers that do not know better. */
async function appendAlone(client: LogClient, append: PreparedAppend, timeoutMs: number): Promise<Appended> {
  const { streamId, expectedRevision, events } = append;
  try {
    const { nextExpectedRevision, position } = await client.appendToStream(
      streamId,
      events.map(({ eventId, type, data, metadata }) =>
        // What was encoded from JSON values decodes to JSON values.
        jsonEvent({
          id: eventId,
          type,
          data: JSON.parse(data) as JSONType,
          metadata: JSON.parse(metadata) as JSONType,
        }),
      ),
      {
        expectedRevision: expectedRevision === 'no_stream' ? expectedRevision : BigInt(expectedRevision),
        // Ends the call as well, which would otherwise outlive even its client.
        deadline: timeoutMs,
      },
    );
    return { kind: 'written', revision: Number(nextExpectedRevision), position: position ?? null };
  } catch (error) {
    if (error instanceof WrongExpectedVersionError) {
      const { actualVersion } = error;
      return {
        kind: 'wrong_version',
        actual: typeof actualVersion === 'bigint' ? Number(actualVersion) : 'no_stream',
      };
    }
    const type = isCommandError(error as Error) ? (error as { type?: string }).type : undefined;
    if (type === ErrorType.STREAM_DELETED)
      throw new StreamGoneError(`append to ${streamId}: the stream has been deleted`, { cause: error });
    if (type === ErrorType.MAXIMUM_APPEND_SIZE_EXCEEDED)
      throw new EventTooLargeError(
        `append of ${events.length} events to ${streamId} is more than the server takes at once`,
        { cause: error },
      );
    throw error;
  }
}

/** The place of an earlier, identical append that the server did not recognise as one; null when it was another's. */
async function placeOfRetry(
  { read }: AppendOptions,
  { streamId, expectedRevision, events }: PreparedAppend,
  { actual }: Extract<Appended, { kind: 'wrong_version' }>,
): Promise<AppendResult | null> {
  const first = expectedRevision === 'no_stream' ? 0 : expectedRevision + 1;
  const revision = first + events.length - 1;
  if (actual === 'no_stream' || actual < revision) return null;
  const there = await read(streamId, first, events.length);
  const same = events.every(({ eventId }, nth) => there[nth]?.eventId === eventId.toLowerCase());
  return same ? { kind: 'appended', revision, position: there.at(-1)!.position, isNew: false } : null;
}

async function positionOf({ read }: AppendOptions, streamId: string, revision: number): Promise<Position> {
  const [event] = await read(streamId, revision, 1);
  if (!event) throw new Error(`revision ${revision} of ${streamId} was written and cannot be read`);
  return event.position;
}
