import { createRequire } from 'node:module';
import type * as Grpc from '@grpc/grpc-js';
import type * as GossipServices from '@eventstore/db-client/generated/gossip_grpc_pb';
import type * as GossipMessages from '@eventstore/db-client/generated/gossip_pb';
import type * as FeatureServices from '@eventstore/db-client/generated/serverfeatures_grpc_pb';
import type * as FeatureMessages from '@eventstore/db-client/generated/serverfeatures_pb';
import type * as SharedMessages from '@eventstore/db-client/generated/shared_pb';
import type * as StatusMessages from '@eventstore/db-client/generated/status_pb';
import type * as StreamServices from '@eventstore/db-client/generated/streams_grpc_pb';
import type * as StreamMessages from '@eventstore/db-client/generated/streams_pb';
import type { Any } from 'google-protobuf/google/protobuf/any_pb';
import type { Expected, LogRecord, ProposedRecord } from './eventstoredb-stand-in-log';

// Everything from the client's own tree: two copies of grpc-js or of the messages do not know each other's classes.
const fromClient = createRequire(require.resolve('@eventstore/db-client'));
const generated = (name: string) => fromClient.resolve(`@eventstore/db-client/generated/${name}`);
export const grpc = fromClient('@grpc/grpc-js') as typeof Grpc;
export const streams = fromClient(generated('streams_pb')) as typeof StreamMessages;
export const shared = fromClient(generated('shared_pb')) as typeof SharedMessages;
const status = fromClient(generated('status_pb')) as typeof StatusMessages;
const features = fromClient(generated('serverfeatures_pb')) as typeof FeatureMessages;
const gossip = fromClient(generated('gossip_pb')) as typeof GossipMessages;
const anyPb = fromClient('google-protobuf/google/protobuf/any_pb') as { Any: typeof Any };
const emptyPb = fromClient('google-protobuf/google/protobuf/empty_pb') as {
  Empty: new () => StreamMessages.BatchAppendResp extends { setNoStream(value?: infer E): unknown }
    ? E
    : never;
};

export const services = {
  ...(fromClient(generated('streams_grpc_pb')) as typeof StreamServices),
  ...(fromClient(generated('serverfeatures_grpc_pb')) as typeof FeatureServices),
  ...(fromClient(generated('gossip_grpc_pb')) as typeof GossipServices),
};

export const streamName = (bytes: SharedMessages.StreamIdentifier | undefined) =>
  Buffer.from(bytes!.getStreamName_asU8()).toString('utf8');

export function streamIdentifier(name: string) {
  return new shared.StreamIdentifier().setStreamName(Buffer.from(name));
}

/** To reads, and to appends that are not batched: a status with the rest in its metadata. */
export function streamDeleted(name: string): Partial<Grpc.ServiceError> {
  const metadata = new grpc.Metadata();
  metadata.set('exception', 'stream-deleted');
  metadata.set('stream-name', name);
  const details = `Event stream '${name}' is deleted.`;
  return { code: grpc.status.FAILED_PRECONDITION, details, metadata };
}

/** The server answers in two signed halves what it was given as text. */
export function structuredUuid(text: string) {
  const hex = text.replaceAll('-', '');
  const half = (from: number) => String(BigInt.asIntN(64, BigInt(`0x${hex.slice(from, from + 16)}`)));
  return new shared.UUID().setStructured(
    new shared.UUID.Structured().setMostSignificantBits(half(0)).setLeastSignificantBits(half(16)),
  );
}

type Proposed = StreamMessages.AppendReq.ProposedMessage | StreamMessages.BatchAppendReq.ProposedMessage;

export function proposed(message: Proposed): ProposedRecord {
  const metadata = message.getMetadataMap();
  return {
    id: message.getId()!.getString().toLowerCase(),
    type: metadata.get('type') ?? '',
    contentType: metadata.get('content-type') ?? '',
    data: message.getData_asU8(),
    metadata: message.getCustomMetadata_asU8(),
  };
}

/** 64-bit numbers are strings in these messages. */
export function expectedOfBatch(options: StreamMessages.BatchAppendReq.Options): Expected {
  if (options.hasStreamPosition()) return BigInt(options.getStreamPosition());
  if (options.hasNoStream()) return 'no_stream';
  return options.hasAny() ? 'any' : 'stream_exists';
}

export function expectedOf(options: StreamMessages.AppendReq.Options): Expected {
  if (options.hasRevision()) return BigInt(options.getRevision());
  if (options.hasNoStream()) return 'no_stream';
  return options.hasAny() ? 'any' : 'stream_exists';
}

export function eventMessage(record: LogRecord): StreamMessages.ReadResp {
  const position = String(record.position);
  const recorded = new streams.ReadResp.ReadEvent.RecordedEvent()
    .setId(new shared.UUID().setString(record.id))
    .setStreamIdentifier(streamIdentifier(record.streamId))
    .setStreamRevision(String(record.revision))
    .setCommitPosition(position)
    .setPreparePosition(position)
    .setData(record.data)
    .setCustomMetadata(record.metadata);
  recorded
    .getMetadataMap()
    .set('type', record.type)
    .set('content-type', record.contentType)
    .set('created', record.created);
  return new streams.ReadResp().setEvent(
    new streams.ReadResp.ReadEvent().setEvent(recorded).setCommitPosition(position),
  );
}

export function checkpointMessage(position: bigint): StreamMessages.ReadResp {
  return new streams.ReadResp().setCheckpoint(
    new streams.ReadResp.Checkpoint()
      .setCommitPosition(String(position))
      .setPreparePosition(String(position)),
  );
}

/** Errors of a batch are no gRPC errors: a google.rpc.Status with the error itself packed into an Any. */
export function batchError(name: string, message: { serializeBinary(): Uint8Array }, text = name) {
  const details = new anyPb.Any();
  details.pack(message.serializeBinary(), `event_store.client.${name}`);
  return new status.Status().setCode(2).setMessage(text).setDetails(details);
}

export function wrongExpectedVersion(expected: Expected, current: number | 'no_stream') {
  const message = new shared.WrongExpectedVersion();
  if (current === 'no_stream') message.setCurrentNoStream(new emptyPb.Empty());
  else message.setCurrentStreamRevision(String(current));
  if (typeof expected === 'bigint') message.setExpectedStreamPosition(String(expected));
  else if (expected === 'no_stream') message.setExpectedNoStream(new emptyPb.Empty());
  return message;
}

/** Without the batch append among the methods, or with no such service at all, the client appends one call at a time. */
export function supportedMethods(): FeatureMessages.SupportedMethods {
  const methods = ['append', 'batchappend', 'read'].map((method) =>
    new features.SupportedMethod().setMethodName(method).setServiceName('event_store.client.streams.streams'),
  );
  return new features.SupportedMethods().setEventStoreServerVersion('24.10.5').setMethodsList(methods);
}

export interface Member {
  readonly port: number;
  readonly leader: boolean;
}

export function clusterInfo(members: readonly Member[]): GossipMessages.ClusterInfo {
  const { LEADER, FOLLOWER } = gossip.MemberInfo.VNodeState;
  return new gossip.ClusterInfo().setMembersList(
    members.map(({ port, leader }) =>
      new gossip.MemberInfo()
        .setInstanceId(new shared.UUID().setString('00000000-0000-4000-8000-000000000000'))
        .setState(leader ? LEADER : FOLLOWER)
        .setIsAlive(true)
        .setHttpEndPoint(new gossip.EndPoint().setAddress('127.0.0.1').setPort(port)),
    ),
  );
}
