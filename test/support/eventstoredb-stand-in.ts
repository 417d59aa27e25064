import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Server as NetServer, Socket } from 'node:net';
import type {
  Server,
  ServerDuplexStream,
  ServerReadableStream,
  ServiceError,
  sendUnaryData,
} from '@grpc/grpc-js';
import type {
  AppendReq,
  AppendResp,
  BatchAppendReq,
  BatchAppendResp,
} from '@eventstore/db-client/generated/streams_pb';
import { answerAppend, answerBatch } from './eventstoredb-stand-in-appends';
import { StandInLog } from './eventstoredb-stand-in-log';
import { clusterInfo, grpc, services, supportedMethods } from './eventstoredb-stand-in-protocol';
import type { Member } from './eventstoredb-stand-in-protocol';
import { answerRead } from './eventstoredb-stand-in-reads';
import type { ReadCall } from './eventstoredb-stand-in-reads';

/** What goes wrong, until it is set back; counts go down as they are used up. */
export interface Faults {
  /** Appends that are written and never answered. */
  repliesLost: number;
  /** Between the write of a batched append and its answer. */
  replyDelayMs: number;
  /** Calls and batched appends refused with "Server Is Not Ready"; in a batch nothing but the text tells. */
  notReady: number;
  /** Between the events of every read. */
  deliveryDelayMs: number;
  /** Subscriptions stay open and say nothing more. */
  silent: boolean;
  /** Subscriptions that end without a word before they have begun. */
  endsUnconfirmed: number;
  /** Checkpoints come with the position -1, as they do of servers that have none yet. */
  emptyCheckpoints: boolean;
  /** Every read of `$all` and every subscription is refused. */
  accessDenied: boolean;
  /** Every position of `$all` that is asked for is no place where an event begins. */
  invalidPosition: boolean;
  /** A server may be set to take no event larger than this, whatever the size of the append. */
  maxEventBytes: number;
  /** As a server that is too old, or a proxy that lets only some services through. */
  noServerFeatures: boolean;
}

export interface StandInOptions {
  readonly log?: StandInLog;
  /** What gossip tells; by default this server alone. */
  readonly members?: () => readonly Member[];
}

/**
 * A stand-in for EventStoreDB on a port of the loopback interface: the client's own service definitions over a log in
 * memory. It encodes a reading of the server (24.10): the same contract suite also runs against a real one.
 */
export class EventStoreDbStandIn {
  log: StandInLog;
  readonly faults: Faults = {
    repliesLost: 0,
    replyDelayMs: 0,
    notReady: 0,
    deliveryDelayMs: 0,
    silent: false,
    endsUnconfirmed: 0,
    emptyCheckpoints: false,
    accessDenied: false,
    invalidPosition: false,
    maxEventBytes: Infinity,
    noServerFeatures: false,
  };
  /** How many calls of each kind came in, and how many events went out. */
  readonly calls = { append: 0, batchAppend: 0, read: 0, subscribe: 0, gossip: 0, eventsSent: 0 };
  port = 0;
  private readonly members: () => readonly Member[];
  private readonly sockets = new Set<Socket>();
  private readonly subscriptions = new Set<ReadCall>();
  private listener: NetServer | undefined;
  private server: Server | undefined;

  constructor({ log = new StandInLog(), members }: StandInOptions = {}) {
    this.log = log;
    this.members = members ?? (() => [{ port: this.port, leader: true }]);
  }

  get url(): string {
    return `esdb://127.0.0.1:${this.port}?tls=false`;
  }

  get clusterUrl(): string {
    return `esdb+discover://127.0.0.1:${this.port}?tls=false&maxDiscoverAttempts=2&discoveryInterval=10`;
  }

  /** Listens, on the port it had before if there was one. */
  async start(): Promise<void> {
    const server = new grpc.Server();
    this.server = server;
    this.addServices(server);
    const injector = server.createConnectionInjector(grpc.ServerCredentials.createInsecure());
    this.listener = createServer((socket) => {
      this.sockets.add(socket);
      socket.once('close', () => this.sockets.delete(socket));
      socket.on('error', () => undefined);
      injector.injectConnection(socket);
    });
    this.listener.listen(this.port, '127.0.0.1');
    await once(this.listener, 'listening');
    this.port = (this.listener.address() as AddressInfo).port;
  }

  /** As a killed process: every connection is gone at once, nothing is said to anybody. */
  async stop(): Promise<void> {
    const { listener, server } = this;
    if (!listener) return;
    this.listener = undefined;
    this.cutConnections();
    server?.forceShutdown();
    await new Promise((resolve) => listener.close(resolve));
  }

  cutConnections(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  /** Ends what is subscribed: without any error, or with a status of gRPC. */
  endSubscriptions(error?: { code: number; details: string }): void {
    for (const call of [...this.subscriptions]) {
      if (error) call.emit('error', error);
      else call.end();
    }
  }

  get connections(): number {
    return this.sockets.size;
  }

  get subscribed(): number {
    return this.subscriptions.size;
  }

  private addServices(server: Server): void {
    server.addService(services.StreamsService, {
      read: (call: ReadCall) => this.read(call),
      append: (call: ServerReadableStream<AppendReq, AppendResp>, reply: sendUnaryData<AppendResp>) => {
        this.calls.append += 1;
        if (this.refuses()) reply(notReady());
        else answerAppend(call, reply, this);
      },
      batchAppend: (call: ServerDuplexStream<BatchAppendReq, BatchAppendResp>) => {
        this.calls.batchAppend += 1;
        answerBatch(call, this, () => this.refuses());
      },
    });
    server.addService(services.ServerFeaturesService, {
      getSupportedMethods: (_call: unknown, reply: sendUnaryData<unknown>) => {
        if (this.faults.noServerFeatures)
          reply({ code: grpc.status.UNIMPLEMENTED, details: 'unknown service' });
        else reply(null, supportedMethods());
      },
    });
    server.addService(services.GossipService, {
      read: (_call: unknown, reply: sendUnaryData<unknown>) => {
        this.calls.gossip += 1;
        reply(null, clusterInfo(this.members()));
      },
    });
  }

  private read(call: ReadCall): void {
    // Without a listener the end of a broken connection would be an uncaught exception of the test process.
    call.on('error', () => undefined);
    const options = call.request.getOptions()!;
    const refusal = this.refusal(options.hasAll());
    if (refusal) {
      call.emit('error', refusal);
      return;
    }
    if (options.hasSubscription()) {
      this.calls.subscribe += 1;
      this.subscriptions.add(call);
      const forget = () => this.subscriptions.delete(call);
      call.once('close', forget).once('cancelled', forget).once('error', forget);
      if (this.faults.endsUnconfirmed > 0) {
        this.faults.endsUnconfirmed -= 1;
        call.end();
        return;
      }
    } else this.calls.read += 1;
    answerRead(call, this).catch((error: unknown) => call.destroy(error as Error));
  }

  private refusal(ofAll: boolean): Partial<ServiceError> | undefined {
    if (this.refuses()) return notReady();
    if (ofAll && this.faults.accessDenied) {
      const metadata = new grpc.Metadata();
      metadata.set('exception', 'access-denied');
      return { code: grpc.status.PERMISSION_DENIED, details: 'Access Denied', metadata };
    }
    return undefined;
  }

  private refuses(): boolean {
    if (this.faults.notReady === 0) return false;
    this.faults.notReady -= 1;
    return true;
  }
}

function notReady(): Partial<ServiceError> {
  return { code: grpc.status.UNAVAILABLE, details: 'Server Is Not Ready' };
}
