import { randomUUID } from 'node:crypto';
import { PassThrough } from 'node:stream';
import { Global, Module } from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import type { LightMyRequestResponse } from 'fastify';
import type { TokenRequest } from '../../src/auth/mint-token';
import { createVerifier } from '../../src/auth/verifier';
import { parsePolicy } from '../../src/classifier/policy';
import { comparePositions } from '../../src/events/position';
import { configureHttp, createHttpAdapter } from '../../src/http/http-app';
import { HttpModule } from '../../src/http/http.module';
import { NestLogger, createLogger } from '../../src/observability/logger';
import { generationById } from '../../src/projector/generations';
import { judgeFor } from '../../src/projector/live-classification';
import { savePolicy } from '../../src/projector/policies';
import { listAuditEntries } from '../../src/replay/audit-entries';
import { buildGeneration } from '../../src/replay/build/generation-build';
import { OPERATOR_CONTEXT } from '../../src/replay/operator-context';
import type { OperatorContext } from '../../src/replay/operator-context';
import { AuditsController } from '../../src/replay/audits.controller';
import { PoliciesController } from '../../src/replay/policies.controller';
import { ProjectionsController } from '../../src/replay/projections.controller';
import { REPLAY_EVENTS_TIMING } from '../../src/replay/replay-events';
import { ReplayStepsController } from '../../src/replay/replay-steps.controller';
import { ReplaysController } from '../../src/replay/replays.controller';
import { simulateWorkload } from '../../src/simulator/workload';
import { NOW, SECRET, bearer } from '../http/test-app';
import { testClock } from '../support/database';
import { createProjectionFixture, TEST_POLICY } from '../support/projection';
import { eventually } from '../support/eventually';
import type { LogKind } from '../support/test-log';

export const AS_OF = '2026-01-01T00:25:00.000Z';
/** Stale sooner, and cancelled runs asked after: changes about every class there is. */
export const STRICTER = {
  defaults: { ...TEST_POLICY.defaults, runningStaleAfterSeconds: 120 },
  outcomeClasses: { partially_succeeded: 'none', failed: 'none', cancelled: 'terminal_follow_up' },
};
/** Differs in nothing that any run shows. */
export const HARMLESS = { defaults: { ...TEST_POLICY.defaults, retryable: false } };

/** A projected history of 120 runs, frozen at `AS_OF`, and two more policies. */
export async function createReplaysFixture(logKind?: LogKind) {
  const fixture = await createProjectionFixture(TEST_POLICY, logKind);
  const { pool, store, options, judge } = fixture;
  const context: OperatorContext = {
    pool,
    store,
    surfaces: options.surfaces,
    clock: testClock(AS_OF),
    judge: () => judge,
  };
  const workload = simulateWorkload({
    seed: 11,
    runs: 120,
    start: '2026-01-01T00:00:00.000Z',
    meanGapSeconds: 12,
    workspaces: 3,
    tenantsPerWorkspace: 4,
    meanRunSeconds: 240,
    heartbeatSeconds: 60,
    idPrefix: 'run-',
  });
  await fixture.write([...workload].filter(({ command }) => command.at <= AS_OF));
  await fixture.catchUp();
  const stricter = await savePolicy(pool, parsePolicy(STRICTER), 'test', null);
  const harmless = await savePolicy(pool, parsePolicy(HARMLESS), 'test', null);
  return {
    ...fixture,
    context,
    stricter,
    harmless,
    /** What a worker does with a replay that was asked for. */
    async build(id: number) {
      const generation = (await generationById(pool, id))!;
      await buildGeneration(
        id,
        { ...options, judge: await judgeFor(pool, generation) },
        new AbortController().signal,
      );
    },
    /** Events of somebody else, in a stream that is no run's: PostgreSQL's log is open to them. */
    async writeForeign(streamId: string, events: number) {
      const result = await store.append({
        streamId,
        expectedRevision: 'no_stream',
        events: Array.from({ length: events }, () => ({
          eventId: randomUUID(),
          type: 'OrderPlaced',
          data: {},
          metadata: { actor: 'a', plane: 'worker', commandId: 'c', correlationId: 'c', causationId: 'c' },
        })),
      });
      if (result.kind === 'conflict') throw new Error(`${streamId} is there already`);
      await eventually(async () => comparePositions(await store.tail(), result.position) >= 0);
      await fixture.catchUp();
    },
    /** The actions that left an audit entry, in the order in which they happened. */
    async audited() {
      const entries = await listAuditEntries(pool, 100);
      return entries.map(({ actor, action, reason }) => ({ actor, action, reason })).reverse();
    },
  };
}

const OPERATOR: Partial<TokenRequest> = {
  plane: 'system',
  subject: 'olga',
  capabilities: ['projections.operate'],
};
export const READER: Partial<TokenRequest> = { plane: 'system', subject: 'rita' };

/** The operators' routes behind real tokens, over such a history. Looks at replays every 5 ms. */
export async function createReplaysApp(logKind?: LogKind) {
  const fixture = await createReplaysFixture(logKind);
  const providers = [
    { provide: OPERATOR_CONTEXT, useValue: fixture.context },
    { provide: REPLAY_EVENTS_TIMING, useValue: { everyMs: 5, quietLooks: 3 } },
  ];
  @Global()
  @Module({ providers, exports: providers.map(({ provide }) => provide) })
  class Runtime {}

  const logger = createLogger({ level: 'warn' }, new PassThrough().resume());
  const clock = testClock(NOW);
  const verifier = createVerifier({ kind: 'secret', secret: SECRET }, clock);
  const module = await Test.createTestingModule({
    imports: [Runtime, HttpModule.register({ clock, verifier })],
    controllers: [
      ProjectionsController,
      ReplaysController,
      ReplayStepsController,
      PoliciesController,
      AuditsController,
    ],
  }).compile();
  const app = module.createNestApplication<NestFastifyApplication>(createHttpAdapter(logger), {
    bodyParser: false,
    logger: new NestLogger(logger),
  });
  configureHttp(app);
  await app.init();
  await app.getHttpAdapter().getInstance().ready();

  const send = async (
    method: 'GET' | 'POST',
    path: string,
    body?: object,
    token: Partial<TokenRequest> = OPERATOR,
  ): Promise<Answer> => {
    const response = await app.inject({
      method,
      url: path === '' ? '/system/projections' : `/system/projections/${path}`,
      headers: await bearer(token),
      ...(body !== undefined && { payload: body }),
    });
    const json = String(response.headers['content-type']).includes('json');
    return Object.assign(response, { answer: json ? response.json<AnswerBody>() : {} });
  };
  return {
    ...fixture,
    app,
    get: (path: string, token?: Partial<TokenRequest>) => send('GET', path, undefined, token),
    post: (path: string, body: object = {}, token?: Partial<TokenRequest>) => send('POST', path, body, token),
    /** Asks for a replay over HTTP and answers its number. */
    async start(body: object): Promise<number> {
      const { statusCode, answer, body: text } = await send('POST', 'replays', body);
      if (statusCode !== 202) throw new Error(text);
      return answer.data!.id as number;
    },
    close: async () => {
      await app.close();
      await fixture.close();
    },
  };
}

/** Of an answer `data`; of a problem the rest. */
interface AnswerBody extends Record<string, unknown> {
  readonly data?: Record<string, unknown>;
}
export type Answer = LightMyRequestResponse & { readonly answer: AnswerBody };
export type ReplaysApp = Awaited<ReturnType<typeof createReplaysApp>>;
export type ReplaysFixture = Awaited<ReturnType<typeof createReplaysFixture>>;
