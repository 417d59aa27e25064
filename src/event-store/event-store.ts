import type { NewEvent, StoredEvent } from '../events/operation-run-events';
import type { Position } from '../events/position';

/** The revision a stream must have for an append to happen: that of its last event, or `no_stream`. */
export type ExpectedRevision = number | 'no_stream';

export interface Append {
  readonly streamId: string;
  readonly expectedRevision: ExpectedRevision;
  /** At least one event; each at most `MAX_EVENT_BYTES` as JSON. */
  readonly events: readonly NewEvent[];
}

/**
 * `appended` also answers an identical retry: the same event ids at the same revisions are found in place. `isNew`: this very
 * call wrote them, and their content is the caller's; false where they were found or the store cannot tell.
 * `conflict` says where the stream really is. `refused`: the store cannot hold it as it is. Nothing of either was written.
 */
export type AppendResult =
  | {
      readonly kind: 'appended';
      readonly revision: number;
      readonly position: Position;
      readonly isNew: boolean;
    }
  | { readonly kind: 'conflict'; readonly actualRevision: ExpectedRevision }
  | RefusedAppend;

export interface RefusedAppend {
  readonly kind: 'refused';
  readonly error: EventTooLargeError | UnstorableEventError | StreamGoneError;
}

/** Data and metadata of one event, as JSON: below EventStoreDB's limit, so that a log can move between stores. */
export const MAX_EVENT_BYTES = 256 * 1024;

/** An event by its id, and the stream that it would be in. */
export interface EventInStream {
  readonly streamId: string;
  readonly eventId: string;
}

/** A limit of `pending` that no log reaches. */
export const COUNT_ALL = 1_000_000_000;

/** Behind one revision of one stream, in the order of `readByStream`. */
export interface StreamPlace {
  readonly streamId: string;
  readonly revision: number;
}

/** Narrows a read to event types. An empty or absent list means every run event. */
export interface EventFilter {
  readonly types?: readonly string[];
}

/** An event, or all events of one append together, beyond what a store takes. */
export class EventTooLargeError extends Error {
  override readonly name = 'EventTooLargeError';
}

/** An append that no store can hold: a mistake of the caller's, found before anything is sent. */
export class UnstorableEventError extends Error {
  override readonly name = 'UnstorableEventError';
}

/** An operator of the server has deleted the stream for good: nothing can be written to it any more. */
export class StreamGoneError extends Error {
  override readonly name = 'StreamGoneError';
}

export class EventStoreClosedError extends Error {
  override readonly name = 'EventStoreClosedError';
}

/** The log could not be reached, or did not answer, for as long as it was tried. What was asked is safe to repeat. */
export class EventStoreUnavailableError extends Error {
  override readonly name = 'EventStoreUnavailableError';
}

/** A subscription that ended at once without a word would have whoever starts over do so for ever. */
export function refuseIfClosed(closing: AbortSignal): void {
  if (closing.aborted) throw new EventStoreClosedError('the event store is closed');
}

/**
 * The log behind the write side: streams with revisions, one total order with positions. Both adapters pass
 * `test/contract/event-store.contract.ts`.
 */
export interface EventStore {
  /** Throws what would be `refused`. */
  append(append: Append): Promise<Exclude<AppendResult, RefusedAppend>>;
  /**
   * Many appends at once, each with its own result, in the order given: one that is refused does not touch the others.
   * Appends to one stream must be merged by the caller: a stream may appear only once.
   */
  appendMany(appends: readonly Append[]): Promise<AppendResult[]>;
  /** A stream's events from a revision on, in order; empty when there is no such stream. */
  readStream(streamId: string, fromRevision?: number): Promise<StoredEvent[]>;
  /** Several streams at once, whole, each in order; streams that do not exist are absent from the map. */
  readStreams(streamIds: readonly string[]): Promise<Map<string, StoredEvent[]>>;
  /** The ids of those events that are in their streams. Asked of each command that may be a repeat, whatever its stream's length. */
  findEventIds(asked: readonly EventInStream[]): Promise<Set<string>>;
  /** Events strictly after `from` in log order, at most `limit`; never crosses an event that may still commit. */
  readAll(from: Position, limit: number, filter?: EventFilter): Promise<StoredEvent[]>;
  /**
   * The log up to a position that readers may see, stream after stream: by id, and by revision within each. Strictly after
   * `from`, at most `limit` events. Absent where a store could do it only by going through the whole log for each page.
   */
  readonly readByStream?: (from: StreamPlace, upTo: Position, limit: number) => Promise<StoredEvent[]>;
  /**
   * Batches strictly after `from`, for ever: what is there, then what comes, until `signal` aborts. One batch in
   * flight: the next is read (ahead) only as the consumer takes this one. Ends when the store is closed; on a closed
   * store it throws EventStoreClosedError.
   */
  subscribe(
    from: Position,
    options: { readonly batchSize: number; readonly filter?: EventFilter; readonly signal: AbortSignal },
  ): AsyncIterable<StoredEvent[]>;
  /** How many readable events lie strictly after `from` (counted up to `limit`), and when the first of them was written. */
  pending(from: Position, limit: number): Promise<{ events: number; oldestRecordedAt: string | null }>;
  /** The last position a reader can have reached now, START when the log is empty. */
  tail(): Promise<Position>;
  /** A name that stays with this log for life, so that a checkpoint is never used on another one. */
  identity(): Promise<string>;
  close(): Promise<void>;
}
