import { randomUUID } from 'node:crypto';
import { UnknownError, convertToCommandError } from '@eventstore/db-client';
import {
  Empty,
  MaximumAppendSizeExceeded,
  StreamIdentifier,
  UUID,
  WrongExpectedVersion,
} from '@eventstore/db-client/generated/shared_pb';
import type { StreamsClient } from '@eventstore/db-client/generated/streams_grpc_pb';
import { BatchAppendReq } from '@eventstore/db-client/generated/streams_pb';
import type { BatchAppendResp } from '@eventstore/db-client/generated/streams_pb';
import type { Position } from '../events/position';
import type { EncodedEvent } from './encode-event';
import { EventTooLargeError, StreamGoneError } from './event-store';
import type { ExpectedRevision } from './event-store';
import { EventStoreRefusedError, NoAnswerError, CallEndedError } from './eventstoredb-errors';

export interface PreparedAppend {
  readonly streamId: string;
  readonly expectedRevision: ExpectedRevision;
  readonly events: readonly EncodedEvent[];
}

/** `position` is null where the server gives none, as some do when they recognise a retry. */
export type Appended =
  | { readonly kind: 'written'; readonly revision: number; readonly position: Position | null }
  | { readonly kind: 'wrong_version'; readonly actual: ExpectedRevision };

/** Appends in flight on one call. Any end of the call rejects them all, with their outcome unknown. */
export interface BatchAppends {
  send(append: PreparedAppend, timeoutMs: number): Promise<Appended>;
}

type Call = ReturnType<StreamsClient['batchAppend']>;

interface Waiting {
  readonly append: PreparedAppend;
  resolve(appended: Appended): void;
  reject(error: Error): void;
}

/**
 * Speaks the batch append over one call. The client's own `appendToStream` keeps the appends of all clients of the
 * process in one table, which the failure of any one empties: the others' answers then find nobody and throw where
 * nobody can catch, and a full buffer becomes unhandled rejections.
 */
export function createBatchAppends(call: Call, onEnd: () => void): BatchAppends {
  const waiting = new Map<string, Waiting>();
  let lastAnswerAt = 0;
  let ended: Error | undefined;

  const end = (error: Error) => {
    if (ended) return;
    ended = error;
    onEnd();
    for (const one of waiting.values()) one.reject(error);
    waiting.clear();
  };
  call.on('data', (response: BatchAppendResp) => {
    lastAnswerAt = performance.now();
    const id = uuidText(response.getCorrelationId());
    // Nobody waits for an answer that came too late; the append has been repeated by then.
    const one = waiting.get(id);
    if (!one) return;
    waiting.delete(id);
    try {
      one.resolve(outcome(response, one.append));
    } catch (error) {
      one.reject(error as Error);
    }
  });
  // A call that was cancelled by ourselves comes as a plain error. The listener stays: a second error must not crash.
  call.on('error', (error: Error) => end(convertToCommandError(error)));
  for (const event of ['end', 'close'])
    call.on(event, () => end(new CallEndedError('the server ended the append call')));

  return {
    send(append, timeoutMs) {
      return new Promise<Appended>((resolve, reject) => {
        if (ended) {
          reject(ended);
          return;
        }
        const id = randomUUID();
        const sentAt = performance.now();
        const timer = setTimeout(() => {
          waiting.delete(id);
          reject(new NoAnswerError(`append to ${append.streamId}: no answer within ${timeoutMs} ms`));
          // Not one reply but all of them are missing: the next append opens another call.
          if (lastAnswerAt < sentAt) call.cancel();
        }, timeoutMs);
        const settle =
          <T>(how: (value: T) => void) =>
          (value: T) => {
            clearTimeout(timer);
            how(value);
          };
        waiting.set(id, { append, resolve: settle(resolve), reject: settle(reject) });
        call.write(request(id, append));
      });
    },
  };
}

function request(id: string, { streamId, expectedRevision, events }: PreparedAppend): BatchAppendReq {
  const options = new BatchAppendReq.Options().setStreamIdentifier(
    new StreamIdentifier().setStreamName(Buffer.from(streamId)),
  );
  if (expectedRevision === 'no_stream') options.setNoStream(new Empty());
  else options.setStreamPosition(String(expectedRevision));
  const messages = events.map(({ eventId, type, data, metadata }) => {
    const message = new BatchAppendReq.ProposedMessage()
      .setId(new UUID().setString(eventId))
      .setData(Buffer.from(data))
      .setCustomMetadata(Buffer.from(metadata));
    message.getMetadataMap().set('type', type).set('content-type', 'application/json');
    return message;
  });
  return new BatchAppendReq()
    .setCorrelationId(new UUID().setString(id))
    .setOptions(options)
    .setProposedMessagesList(messages)
    .setIsFinal(true);
}

function outcome(response: BatchAppendResp, { streamId, events }: PreparedAppend): Appended {
  const success = response.getSuccess();
  if (success) {
    const position = success.getPosition();
    return {
      kind: 'written',
      revision: Number(success.getCurrentRevision()),
      position: position
        ? { commit: BigInt(position.getCommitPosition()), prepare: BigInt(position.getPreparePosition()) }
        : null,
    };
  }
  const error = response.getError();
  const details = error?.getDetails();
  const name = details?.getTypeName() ?? '';
  switch (name) {
    case 'event_store.client.WrongExpectedVersion': {
      const wrong = details!.unpack((bytes) => WrongExpectedVersion.deserializeBinary(bytes), name)!;
      const actual = wrong.hasCurrentStreamRevision()
        ? Number(wrong.getCurrentStreamRevision())
        : 'no_stream';
      return { kind: 'wrong_version', actual };
    }
    case 'event_store.client.MaximumAppendSizeExceeded': {
      const limit = details!
        .unpack((bytes) => MaximumAppendSizeExceeded.deserializeBinary(bytes), name)!
        .getMaxappendsize();
      throw new EventTooLargeError(
        `append of ${events.length} events to ${streamId}: the server takes at most ${limit} bytes at once`,
      );
    }
    case 'event_store.client.MaximumAppendEventSizeExceeded':
      // Newer than the client, which could not unpack the sizes.
      throw new EventTooLargeError(
        `append of ${events.length} events to ${streamId}: one of them is larger than the server is set to take`,
      );
    case 'event_store.client.StreamDeleted':
      throw new StreamGoneError(`append to ${streamId}: the stream has been deleted`);
    case 'event_store.client.AccessDenied':
      throw new EventStoreRefusedError(`append to ${streamId}: ${name.split('.').pop()!}`);
    default:
      // "Server Is Busy" and "Server Is Not Ready" among them: nothing but the text tells.
      throw new UnknownError(
        undefined,
        `append to ${streamId}: ${error?.getMessage() || name || 'no reason given'}`,
      );
  }
}

/** Servers write a UUID as text or as two 64-bit numbers. */
function uuidText(uuid: UUID | undefined): string {
  const halves = uuid?.getStructured();
  if (!halves) return uuid?.getString() ?? '';
  const hex = [halves.getMostSignificantBits(), halves.getLeastSignificantBits()]
    .map((bits) => BigInt.asUintN(64, BigInt(bits)).toString(16).padStart(16, '0'))
    .join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}
