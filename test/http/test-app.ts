import { PassThrough } from 'node:stream';
import type { Type } from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import type { InjectOptions, LightMyRequestResponse } from 'fastify';
import { mintToken } from '../../src/auth/mint-token';
import type { TokenRequest } from '../../src/auth/mint-token';
import { createVerifier } from '../../src/auth/verifier';
import type { Clock } from '../../src/events/instant';
import { configureHttp, createHttpAdapter } from '../../src/http/http-app';
import { HttpModule } from '../../src/http/http.module';
import { NestLogger, createLogger } from '../../src/observability/logger';

export const SECRET = 'a secret of at least thirty-two characters';
export const NOW = '2026-03-01T12:00:00.000Z';

export interface TestApp {
  readonly app: NestFastifyApplication;
  /** The log so far, one parsed entry per line. */
  readonly log: () => Record<string, unknown>[];
  readonly inject: (options: InjectOptions) => Promise<LightMyRequestResponse>;
  readonly close: () => Promise<void>;
}

/** The real server, guard, filter and interceptors around `controllers`, without a socket. */
export async function createTestApp(
  controllers: Type[],
  { clock = { now: () => NOW } }: { readonly clock?: Clock } = {},
): Promise<TestApp> {
  const lines: string[] = [];
  const destination = new PassThrough();
  destination.on('data', (line: Buffer) => lines.push(line.toString()));
  const logger = createLogger({ level: 'debug' }, destination);
  const verifier = createVerifier({ kind: 'secret', secret: SECRET }, clock);
  const module = await Test.createTestingModule({
    imports: [HttpModule.register({ clock, verifier })],
    controllers,
  }).compile();
  const app = module.createNestApplication<NestFastifyApplication>(createHttpAdapter(logger), {
    bodyParser: false,
    logger: new NestLogger(logger),
  });
  configureHttp(app);
  await app.init();
  await app.getHttpAdapter().getInstance().ready();
  return {
    app,
    log: () => lines.map((line) => JSON.parse(line) as Record<string, unknown>),
    inject: (options) => app.inject(options),
    close: () => app.close(),
  };
}

/** An Authorization header: by default an administrator of everything, without capabilities. */
export async function bearer(request: Partial<TokenRequest> = {}): Promise<{ authorization: string }> {
  const plane = request.plane ?? 'admin';
  const token = await mintToken({
    secret: SECRET,
    subject: 'alice',
    plane,
    ...(plane === 'admin' && { workspaces: '*' }),
    capabilities: [],
    ttlSeconds: 3600,
    now: NOW,
    ...request,
  });
  return { authorization: `Bearer ${token}` };
}
