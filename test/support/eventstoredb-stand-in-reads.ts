import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ServerWritableStream } from '@grpc/grpc-js';
import type { ReadReq, ReadResp } from '@eventstore/db-client/generated/streams_pb';
import type { LogRecord, StandInLog } from './eventstoredb-stand-in-log';
import {
  checkpointMessage,
  eventMessage,
  grpc,
  streamDeleted,
  streamIdentifier,
  streamName,
  streams,
} from './eventstoredb-stand-in-protocol';

export type ReadCall = ServerWritableStream<ReadReq, ReadResp>;

const { BACKWARDS } = streams.ReadReq.Options.ReadDirection;
export interface ReadTarget {
  readonly log: StandInLog;
  readonly faults: {
    readonly deliveryDelayMs: number;
    readonly silent: boolean;
    readonly emptyCheckpoints: boolean;
    readonly invalidPosition: boolean;
  };
  readonly calls: { eventsSent: number };
}

/** Two words for one thing; a subscription is confirmed before it looks. */
const INVALID_POSITION = {
  ofRead: { code: grpc.status.UNKNOWN, details: 'Unexpected ReadAllResult: InvalidPosition' },
  ofSubscription: {
    code: grpc.status.INVALID_ARGUMENT,
    details: 'Trying to read from an invalid position.',
  },
};

/** The server tells a filtered subscription where it is after so many events looked at, times the client's factor. */
const CHECKPOINT_UNIT = 32;

export async function answerRead(call: ReadCall, target: ReadTarget): Promise<void> {
  const { log } = target;
  const options = call.request.getOptions()!;
  if (options.hasSubscription()) return answerSubscription(call, target);
  const position = options.getAll()?.getPosition()?.getCommitPosition();
  if (position !== undefined && (target.faults.invalidPosition || log.isInsideRecord(BigInt(position)))) {
    call.emit('error', INVALID_POSITION.ofRead);
    return;
  }
  const name = options.hasStream() && streamName(options.getStream()!.getStreamIdentifier());
  if (name && log.isDeleted(name)) {
    call.emit('error', streamDeleted(name));
    return;
  }
  const found = options.hasStream() ? streamSlice(options, log) : allSlice(options, log);
  if (found)
    for (const record of found) {
      if (!isOpen(call)) return;
      await sendEvent(call, record, target);
    }
  // A message, not an error status.
  else await send(call, streamNotFound(streamName(options.getStream()!.getStreamIdentifier())));
  call.end();
}

function streamSlice(options: ReadReq.Options, log: StandInLog): readonly LogRecord[] | null {
  const asked = options.getStream()!;
  const stream = log.stream(streamName(asked.getStreamIdentifier()));
  if (!stream) return null;
  const count = Number(options.getCount());
  if (options.getReadDirection() === BACKWARDS) return [...stream].reverse().slice(0, count);
  const from = asked.hasRevision() ? Number(asked.getRevision()) : 0;
  return stream.slice(from, from + count);
}

/** A read of `$all` begins with the event at the position itself, and knows no filter from this client. */
function* allSlice(options: ReadReq.Options, log: StandInLog): Generator<LogRecord> {
  const asked = options.getAll()!;
  const backwards = options.getReadDirection() === BACKWARDS;
  const step = backwards ? -1 : 1;
  let at = asked.hasEnd() ? log.length : 0;
  if (asked.hasPosition()) at = log.indexFrom(BigInt(asked.getPosition()!.getCommitPosition()));
  if (backwards) at -= 1;
  for (let left = Number(options.getCount()); left > 0; left--, at += step) {
    const record = log.at(at);
    if (!record) return;
    yield record;
  }
}

/** Begins after the position; a position beyond the end is taken without a word, and everything below it is skipped. */
async function answerSubscription(call: ReadCall, target: ReadTarget): Promise<void> {
  const { log, faults } = target;
  const options = call.request.getOptions()!;
  const asked = options.getAll()!;
  const matches = filterOf(options);
  const every = options.getFilter()!.getCheckpointintervalmultiplier() * CHECKPOINT_UNIT;
  let after = asked.hasPosition() ? BigInt(asked.getPosition()!.getCommitPosition()) : -1n;
  if (asked.hasEnd()) after = log.at(log.length - 1)?.position ?? -1n;
  let stop: (() => void) | undefined;
  for (const event of ['cancelled', 'finish', 'close']) call.on(event, () => stop?.());
  await send(
    call,
    new streams.ReadResp().setConfirmation(
      new streams.ReadResp.SubscriptionConfirmation().setSubscriptionId(randomUUID()),
    ),
  );
  if (faults.invalidPosition) {
    call.emit('error', INVALID_POSITION.ofSubscription);
    return;
  }
  let considered = 0;
  for (let live = false; isOpen(call);) {
    const record = log.at(log.indexFrom(after + 1n));
    if (!record) {
      if (!live) await send(call, new streams.ReadResp().setCaughtUp(new streams.ReadResp.CaughtUp()));
      live = true;
      if (isOpen(call) && !log.at(log.indexFrom(after + 1n))) await log.nextAppend((wake) => (stop = wake));
      continue;
    }
    if (faults.silent) {
      await sleep(20);
      continue;
    }
    after = record.position;
    if (matches(record)) await sendEvent(call, record, target);
    if (++considered % every === 0)
      await send(call, checkpointMessage(faults.emptyCheckpoints ? 2n ** 64n - 1n : after));
  }
}

function filterOf(options: ReadReq.Options): (record: LogRecord) => boolean {
  const filter = options.getFilter();
  const byStream = filter?.getStreamIdentifier();
  const prefixes = (byStream ?? filter?.getEventType())?.getPrefixList() ?? [''];
  return ({ streamId, type }) => prefixes.some((prefix) => (byStream ? streamId : type).startsWith(prefix));
}

async function sendEvent(call: ReadCall, record: LogRecord, { faults, calls }: ReadTarget): Promise<void> {
  calls.eventsSent += 1;
  await send(call, eventMessage(record), faults.deliveryDelayMs);
}

/** A write after the end is worse than lost: the call would then never tell its client that it has ended. */
function isOpen(call: ReadCall): boolean {
  return !call.cancelled && !call.destroyed && !call.writableEnded;
}

async function send(call: ReadCall, message: ReadResp, delayMs = 0): Promise<void> {
  if (delayMs > 0) await sleep(delayMs);
  if (!isOpen(call) || call.write(message)) return;
  // No drain comes when the peer is gone.
  const events = ['drain', 'cancelled', 'finish', 'close'] as const;
  await new Promise<void>((resolve) => {
    const go = () => {
      for (const event of events) call.off(event, go);
      resolve();
    };
    for (const event of events) call.on(event, go);
  });
}

function streamNotFound(name: string): ReadResp {
  return new streams.ReadResp().setStreamNotFound(
    new streams.ReadResp.StreamNotFound().setStreamIdentifier(streamIdentifier(name)),
  );
}
