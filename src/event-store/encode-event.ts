import type { NewEvent } from '../events/operation-run-events';
import { UNSTORABLE_WORDS, isStorableJson } from '../events/storable-json';
import { EventTooLargeError, MAX_EVENT_BYTES, StreamGoneError, UnstorableEventError } from './event-store';
import type { Append, AppendResult, RefusedAppend } from './event-store';

export interface EncodedEvent {
  readonly eventId: string;
  readonly type: string;
  /** JSON texts. */
  readonly data: string;
  readonly metadata: string;
}

/**
 * The events of an append as JSON texts, or an error naming stream and type. Both stores refuse the same events, so
 * that a log can move between them. Throws EventTooLargeError and UnstorableEventError.
 */
export function encodeEvents(append: Append): EncodedEvent[] {
  if (append.events.length === 0) throw new UnstorableEventError(`append of no events to ${append.streamId}`);
  const streamId = JSON.stringify(append.streamId);
  if (!isStorableJson(streamId))
    throw new UnstorableEventError(`a stream id must not contain ${UNSTORABLE_WORDS}: ${streamId}`);
  return append.events.map((event) => encode(append.streamId, event));
}

function encode(streamId: string, event: NewEvent): EncodedEvent {
  const place = `${event.type} event ${event.eventId} for stream ${streamId}`;
  // Typed as always a string, yet undefined for undefined and for functions.
  const data = JSON.stringify(event.data) as string | undefined;
  const metadata = JSON.stringify(event.metadata) as string | undefined;
  if (data === undefined || metadata === undefined)
    throw new UnstorableEventError(`data or metadata is not JSON: ${place}`);
  const bytes = Buffer.byteLength(data) + Buffer.byteLength(metadata);
  if (bytes > MAX_EVENT_BYTES)
    throw new EventTooLargeError(
      `${place} is ${bytes} bytes of JSON, more than the limit of ${MAX_EVENT_BYTES}; keep bulk outside the log and refer to it`,
    );
  if (![data, metadata, JSON.stringify(event.type)].every(isStorableJson))
    throw new UnstorableEventError(
      `${UNSTORABLE_WORDS} cannot be stored, remove it before appending: ${place}`,
    );
  return { eventId: event.eventId, type: event.type, data, metadata };
}

/** The refusal that an error is; null for any other error. */
export function refusalOf(error: unknown): RefusedAppend | null {
  const isOfThisOne =
    error instanceof EventTooLargeError ||
    error instanceof UnstorableEventError ||
    error instanceof StreamGoneError;
  return isOfThisOne ? { kind: 'refused', error } : null;
}

/** The result of one append alone. Throws what it was refused for. */
export function orRefused([result]: readonly AppendResult[]): Exclude<AppendResult, RefusedAppend> {
  if (result!.kind === 'refused') throw result!.error;
  return result!;
}
