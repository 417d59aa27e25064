import { PassThrough } from 'node:stream';
import { Global, Module } from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import type { InjectOptions, LightMyRequestResponse } from 'fastify';
import type { TokenRequest } from '../../src/auth/mint-token';
import { createVerifier } from '../../src/auth/verifier';
import { CommandsModule } from '../../src/commands/commands.module';
import { DiscardedEvents } from '../../src/projector/discarded-events';
import { COMMANDS_POOL, DISCARDS, EVENT_STORE, JUDGE, NEW_ID } from '../../src/commands/tokens';
import { configureHttp, createHttpAdapter } from '../../src/http/http-app';
import { HttpModule } from '../../src/http/http.module';
import { openApiDocument } from '../../src/http/openapi';
import { streamOf } from '../../src/events/operation-run-events';
import { formatPosition } from '../../src/events/position';
import { NestLogger, createLogger } from '../../src/observability/logger';
import { judge } from '../domain/story';
import { NOW, SECRET, bearer } from '../http/test-app';
import { testClock, testIds } from '../support/database';
import { createWriteSide } from './write-side';

export { NOW };
/** The instant so many seconds before `NOW`. */
export const ago = (seconds: number) => new Date(Date.parse(NOW) - seconds * 1000).toISOString();

const WRITER: Partial<TokenRequest> = { capabilities: ['runs.write', 'runs.triage'] };
const OPERATOR: Partial<TokenRequest> = { plane: 'system', subject: 'olga', capabilities: ['ops.triage'] };

/** The write side over HTTP, on a database of its own, behind real tokens. */
export async function createCommandsApp() {
  const side = await createWriteSide();
  const clock = testClock(NOW);
  const lines: string[] = [];
  const destination = new PassThrough();
  destination.on('data', (line: Buffer) => lines.push(line.toString()));
  const logger = createLogger({ level: 'warn' }, destination);

  const discarded = new DiscardedEvents(side.pool);
  const providers = [
    { provide: EVENT_STORE, useValue: side.counted },
    { provide: JUDGE, useValue: () => judge },
    { provide: NEW_ID, useValue: testIds('command') },
    { provide: DISCARDS, useValue: discarded },
    { provide: COMMANDS_POOL, useValue: side.pool },
  ];
  @Global()
  @Module({ providers, exports: providers.map(({ provide }) => provide) })
  class Runtime {}

  const verifier = createVerifier({ kind: 'secret', secret: SECRET }, clock);
  const module = await Test.createTestingModule({
    imports: [Runtime, HttpModule.register({ clock, verifier }), CommandsModule],
  }).compile();
  const app = module.createNestApplication<NestFastifyApplication>(createHttpAdapter(logger), {
    bodyParser: false,
    logger: new NestLogger(logger),
  });
  configureHttp(app);
  await app.init();
  await app.getHttpAdapter().getInstance().ready();

  const post = async (
    url: string,
    payload?: InjectOptions['payload'],
    { token = url.startsWith('/system') ? OPERATOR : WRITER, ...headers }: PostOptions = {},
  ): Promise<Answer> => {
    const authorization = token === null ? {} : await bearer(token);
    const response = await app.inject({
      method: 'POST',
      url,
      headers: { ...authorization, ...headers },
      ...(payload !== undefined && { payload }),
    });
    return Object.assign(response, { data: response.json<Record<string, unknown>>() });
  };
  let runs = 0;
  return {
    ...side,
    discarded,
    clock,
    post,
    document: () => openApiDocument(app),
    log: () => lines.map((line) => JSON.parse(line) as Record<string, unknown>),
    /** A queued run of workspace w1, tenant t1, and what has been done to it since. */
    run: async (more: object = {}, ...done: readonly (readonly [path: string, body?: object])[]) => {
      const runId = `run-${++runs}`;
      const queued = await post('/operation-runs', {
        runId,
        workspaceId: 'w1',
        tenantId: 't1',
        type: 'sync',
        ...more,
      });
      if (queued.statusCode !== 201) throw new Error(`queue: ${queued.body}`);
      for (const [path, body] of done) {
        const url = path.startsWith('/')
          ? path.replace('{runId}', runId)
          : `/operation-runs/${runId}/${path}`;
        const response = await post(url, body);
        if (response.statusCode !== 200) throw new Error(`${url}: ${response.body}`);
      }
      return runId;
    },
    /** Of the run's last event. */
    positionOf: async (runId: string) => {
      const [last] = (await side.store.readStream(streamOf(runId))).slice(-1);
      return formatPosition(last!.position);
    },
    close: async () => {
      await app.close();
      await side.close();
    },
  };
}

interface PostOptions {
  /** Default: one that may do everything on the route's plane. Null: none. */
  readonly token?: Partial<TokenRequest> | null;
  readonly 'content-type'?: string | undefined;
  readonly 'idempotency-key'?: string | undefined;
  readonly 'if-match'?: string | undefined;
}
export type Answer = LightMyRequestResponse & { readonly data: Record<string, unknown> };
export type CommandsApp = Awaited<ReturnType<typeof createCommandsApp>>;

/** A refusal without what differs from request to request. */
export const refusal = ({ statusCode, data: { instance: _instance, ...problem } }: Answer) => ({
  statusCode,
  problem,
});
