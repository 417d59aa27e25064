import type { ServerDuplexStream, ServerReadableStream, sendUnaryData } from '@grpc/grpc-js';
import type {
  AppendReq,
  AppendResp,
  BatchAppendReq,
  BatchAppendResp,
} from '@eventstore/db-client/generated/streams_pb';
import { MAX_APPEND_BYTES } from './eventstoredb-stand-in-log';
import type { AppendOutcome, Expected, ProposedRecord, StandInLog } from './eventstoredb-stand-in-log';
import {
  batchError,
  expectedOf,
  expectedOfBatch,
  grpc,
  proposed,
  shared,
  streamIdentifier,
  streamDeleted,
  streamName,
  streams,
  structuredUuid,
  wrongExpectedVersion,
} from './eventstoredb-stand-in-protocol';

/** The log is looked up at each append: a test may have put another one there. */
export interface AppendTarget {
  readonly log: StandInLog;
  readonly faults: { repliesLost: number; replyDelayMs: number; readonly maxEventBytes: number };
}

function replyIsLost({ faults }: AppendTarget): boolean {
  if (faults.repliesLost === 0) return false;
  faults.repliesLost -= 1;
  return true;
}

/** One append, one call: its options, then a message for each event. */
export function answerAppend(
  call: ServerReadableStream<AppendReq, AppendResp>,
  reply: sendUnaryData<AppendResp>,
  target: AppendTarget,
): void {
  let options: AppendReq.Options | undefined;
  const events: ProposedRecord[] = [];
  call.on('data', (message: AppendReq) => {
    if (message.hasOptions()) options = message.getOptions();
    else events.push(proposed(message.getProposedMessage()!));
  });
  call.on('error', () => undefined);
  call.on('end', () => {
    const expected = expectedOf(options!);
    const outcome = target.log.append(streamName(options!.getStreamIdentifier()), expected, events);
    if (replyIsLost(target)) return;
    if (outcome.kind === 'deleted') reply(streamDeleted(streamName(options!.getStreamIdentifier())));
    else if (outcome.kind === 'too_large') {
      const metadata = new grpc.Metadata();
      metadata.set('exception', 'maximum-append-size-exceeded');
      metadata.set('maximum-append-size', String(MAX_APPEND_BYTES));
      reply({ code: grpc.status.INVALID_ARGUMENT, details: 'Maximum Append Size Exceeded', metadata });
    } else reply(null, appendResponse(expected, outcome));
  });
}

type Answered = Exclude<AppendOutcome, { kind: 'too_large' | 'deleted' }>;

function appendResponse(expected: Expected, outcome: Answered): AppendResp {
  const response = new streams.AppendResp();
  if (outcome.kind === 'written') {
    const position = String(outcome.position);
    return response.setSuccess(
      new streams.AppendResp.Success()
        .setCurrentRevision(String(outcome.revision))
        .setPosition(
          new streams.AppendResp.Position().setCommitPosition(position).setPreparePosition(position),
        ),
    );
  }
  const wrong = new streams.AppendResp.WrongExpectedVersion();
  if (outcome.current === 'no_stream') wrong.setCurrentNoStream(new shared.Empty());
  else wrong.setCurrentRevision(String(outcome.current));
  if (typeof expected === 'bigint') wrong.setExpectedRevision(String(expected));
  else wrong.setExpectedNoStream(new shared.Empty());
  return response.setWrongExpectedVersion(wrong);
}

/** Many appends in one call, told apart by a correlation id; each is written in the order in which its last part came. */
export function answerBatch(
  call: ServerDuplexStream<BatchAppendReq, BatchAppendResp>,
  target: AppendTarget,
  refuses: () => boolean,
): void {
  const open = new Map<string, { options: BatchAppendReq.Options; events: ProposedRecord[] }>();
  call.on('error', () => undefined);
  call.on('end', () => call.end());
  call.on('data', (request: BatchAppendReq) => {
    const correlationId = request.getCorrelationId()!.getString();
    const append = open.get(correlationId) ?? { options: request.getOptions()!, events: [] };
    open.set(correlationId, append);
    append.events.push(...request.getProposedMessagesList().map(proposed));
    if (!request.getIsFinal()) return;
    open.delete(correlationId);
    const tooLarge = append.events.some(({ data }) => data.length > target.faults.maxEventBytes);
    const write = tooLarge ? eventTooLarge : writeBatch;
    const response = refuses() ? notReady() : write(append.options, append.events, target);
    if (replyIsLost(target)) return;
    response
      .setCorrelationId(structuredUuid(correlationId))
      .setStreamIdentifier(streamIdentifier(streamName(append.options.getStreamIdentifier())));
    const answer = () => !call.destroyed && call.write(response);
    if (target.faults.replyDelayMs > 0) setTimeout(answer, target.faults.replyDelayMs);
    else answer();
  });
}

function writeBatch(
  options: BatchAppendReq.Options,
  events: readonly ProposedRecord[],
  { log }: AppendTarget,
): BatchAppendResp {
  const expected = expectedOfBatch(options);
  const outcome = log.append(streamName(options.getStreamIdentifier()), expected, events);
  const response = new streams.BatchAppendResp();
  switch (outcome.kind) {
    case 'written': {
      const position = String(outcome.position);
      return response.setSuccess(
        new streams.BatchAppendResp.Success()
          .setCurrentRevision(String(outcome.revision))
          .setPosition(
            new shared.AllStreamPosition().setCommitPosition(position).setPreparePosition(position),
          ),
      );
    }
    case 'wrong_version':
      return response.setError(
        batchError('WrongExpectedVersion', wrongExpectedVersion(expected, outcome.current)),
      );
    case 'deleted':
      return response.setError(
        batchError(
          'StreamDeleted',
          new shared.StreamDeleted().setStreamIdentifier(options.getStreamIdentifier()),
        ),
      );
    case 'too_large':
      return response.setError(
        batchError(
          'MaximumAppendSizeExceeded',
          new shared.MaximumAppendSizeExceeded().setMaxappendsize(MAX_APPEND_BYTES),
        ),
      );
  }
}

/** A message that the client has no class for; what is in it would be the event's id and the sizes. */
function eventTooLarge(): BatchAppendResp {
  return new streams.BatchAppendResp().setError(
    batchError('MaximumAppendEventSizeExceeded', new shared.Unknown()),
  );
}

function notReady(): BatchAppendResp {
  return new streams.BatchAppendResp().setError(
    batchError('Unknown', new shared.Unknown(), 'Server Is Not Ready'),
  );
}
