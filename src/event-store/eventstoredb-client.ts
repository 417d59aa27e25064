import { readFileSync } from 'node:fs';
import { finished } from 'node:stream';
import type { Readable, Writable } from 'node:stream';
import { EventStoreDBClient } from '@eventstore/db-client';
import type {
  ChannelCredentialOptions,
  DNSClusterOptions,
  GossipClusterOptions,
  NodePreference,
  SingleNodeOptions,
} from '@eventstore/db-client';
import { StreamsClient, StreamsService } from '@eventstore/db-client/generated/streams_grpc_pb';
import { createBatchAppends } from './eventstoredb-batch-appends';
import type { BatchAppends } from './eventstoredb-batch-appends';
import type { ConnectionSettings } from './eventstoredb-connection-string';
import { CallEndedError, within } from './eventstoredb-errors';

const END_WITHIN_MS = 1_000;
/** gRPC's connectivity state SHUTDOWN. */
const CHANNEL_IS_CLOSED = 4;

interface Channel {
  close(): void;
  getConnectivityState(tryToConnect: boolean): number;
}

/**
 * The client with what it lacks for a long life: batched appends of its own, an end that closes its connection, and
 * no unhandled rejection when a cluster's discovery gives up.
 */
export class LogClient extends EventStoreDBClient {
  private readonly openChannels = new Set<Channel>();
  private readonly openCalls = new Set<Readable | Writable>();
  private ended = false;
  private batches: Promise<BatchAppends> | undefined;

  constructor(settings: ConnectionSettings, nodePreference: NodePreference) {
    // The constructor takes each of the three forms; its overloads do not say so of their union.
    super(
      target(settings, nodePreference) as SingleNodeOptions,
      channelCredentials(settings),
      settings.credentials,
    );
    const { handleError, getChannel, GRPCStreamCreator } = this;
    // The client calls it without waiting, and it rejects when a new channel is being sought in vain.
    this.handleError = (client, error) => handleError(client, error).catch(() => undefined);
    this.getChannel = async () => {
      const channel = await getChannel();
      // The client closes the channel of a call that failed, and takes another: what is closed needs no end.
      for (const one of this.openChannels)
        if (one.getConnectivityState(false) === CHANNEL_IS_CLOSED) this.openChannels.delete(one);
      if (this.ended) channel.close();
      else this.openChannels.add(channel);
      return channel;
    };
    this.GRPCStreamCreator = (service, name, makeCall, cache) => {
      const create = GRPCStreamCreator(service, name, makeCall, cache);
      return async () => {
        const call = await create();
        this.openCalls.add(call);
        finished(call, () => this.openCalls.delete(call));
        if (this.ended) call.destroy(givenUp());
        return call;
      };
    };
  }

  /** Undefined when the server does not know batched appends, or does not say what it knows. */
  async batchAppends(): Promise<BatchAppends | undefined> {
    if (!(await this.supports(StreamsService.batchAppend))) return undefined;
    this.batches ??= this.openBatchAppends();
    return this.batches;
  }

  private async openBatchAppends(): Promise<BatchAppends> {
    try {
      const open = this.GRPCStreamCreator(StreamsClient, 'batchAppend', (client) =>
        client.batchAppend(...this.callArguments({}, { deadline: Infinity })),
      );
      return createBatchAppends(await open(), () => (this.batches = undefined));
    } catch (error) {
      this.batches = undefined;
      throw error;
    }
  }

  /** Ends every call and the connection; `dispose` alone leaves the connection open. */
  async end(): Promise<void> {
    this.ended = true;
    // The client says nothing of calls that it cancels itself: a read would seem to have come to its end.
    for (const call of this.openCalls) call.destroy(givenUp());
    // It waits for each call to say that it has ended, which a call that has failed early never does.
    await within(END_WITHIN_MS, 'end of calls', this.dispose()).catch(() => undefined);
    for (const channel of this.openChannels) channel.close();
    this.openChannels.clear();
  }
}

const givenUp = () => new CallEndedError('the client was given up');

function target(
  { hosts, discover, client }: ConnectionSettings,
  nodePreference: NodePreference,
): SingleNodeOptions | DNSClusterOptions | GossipClusterOptions {
  const [first] = hosts;
  if (!discover) return { ...client, endpoint: first! };
  return hosts.length > 1
    ? { ...client, nodePreference, endpoints: [...hosts] }
    : { ...client, nodePreference, discover: first! };
}

function channelCredentials(settings: ConnectionSettings): ChannelCredentialOptions {
  const { tls, tlsCaFile, userCertFile, userKeyFile } = settings;
  if (!tls) return { insecure: true };
  return {
    ...(tlsCaFile !== undefined && { rootCertificate: readFileSync(tlsCaFile) }),
    ...(userCertFile !== undefined && { userCertFile: readFileSync(userCertFile) }),
    ...(userKeyFile !== undefined && { userKeyFile: readFileSync(userKeyFile) }),
  };
}
