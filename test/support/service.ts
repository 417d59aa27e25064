import { mintToken } from '../../src/auth/mint-token';
import type { TokenRequest } from '../../src/auth/mint-token';
import { CAPABILITIES } from '../../src/auth/principal';
import { loadConfig } from '../../src/config';
import { createLogger } from '../../src/observability/logger';
import { openRuntime } from '../../src/runtime/runtime';
import { startServer } from '../../src/runtime/server';
import { createTestDatabase, testClock } from './database';
import type { TestClock } from './database';
import { createTestLog, openTestStore } from './test-log';
import type { LogKind, TestLog } from './test-log';

const SECRET = 'a secret for tests that is long enough to be accepted';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** What tests look at of the many shapes an answer may have; a wrong look fails the test. */
  readonly body: Body;
}

interface RunBody extends Record<string, unknown> {
  readonly runId: string;
  readonly problemClass: string;
  readonly severity: string;
  readonly staleAt: string;
  readonly reconcileDueAt: string;
  readonly lineage: Record<string, unknown> | null;
}

interface Body {
  readonly version: number;
  readonly position: string;
  readonly successorRunId: string;
  readonly code?: string;
  readonly allowedActions: readonly string[];
  readonly results: readonly { readonly status: number; readonly position?: string }[];
  readonly meta: { readonly filter: Record<string, unknown>; readonly generation: number };
  readonly data: RunBody & {
    readonly rows: readonly RunBody[];
    readonly poll: { readonly continue: boolean; readonly afterSeconds: number };
    readonly buckets: Readonly<Record<string, { readonly value: number; readonly href: string }>>;
  };
  readonly paths: Record<string, unknown>;
}

/** The whole product over HTTP, on a database of its own and a clock that only the test moves. */
export interface Service {
  readonly clock: TestClock;
  readonly url: string;
  readonly databaseUrl: string;
  readonly log: TestLog;
  readonly admin: Caller;
  readonly system: Caller;
  as(token: Partial<TokenRequest>): Promise<Caller>;
  close(): Promise<void>;
}

export interface Caller {
  readonly get: (path: string, headers?: Record<string, string>) => Promise<Answer>;
  readonly post: (path: string, body?: unknown, headers?: Record<string, string>) => Promise<Answer>;
}

export async function startService(
  options: { roles?: string; clock?: TestClock; policyFile?: string; logKind?: LogKind } = {},
): Promise<Service> {
  const database = await createTestDatabase();
  const { log: testLog, close: closeLog } = await createTestLog(options.logKind);
  const clock = options.clock ?? testClock();
  const config = loadConfig({
    DATABASE_URL: database.url,
    ...(testLog.kind === 'eventstoredb' && { EVENT_STORE_URL: testLog.url }),
    DATABASE_POOL_SIZE: '6',
    AUTH_JWT_SECRET: SECRET,
    PORT: '0',
    RECONCILER_INTERVAL_SECONDS: '1',
    ROLES: options.roles ?? 'api,projector,reconciler',
    ...(options.policyFile !== undefined && { OPSTRUTH_POLICY_FILE: options.policyFile }),
  });
  const log = createLogger({ level: 'silent' });
  const shared = testLog.kind === 'eventstoredb' && testLog.share !== null;
  const runtime = await openRuntime(config, log, {
    migrate: true,
    clock,
    ...(shared && { store: openTestStore(testLog, database.pool) }),
  });
  const server = await startServer(runtime, log);
  const as = async (request: Partial<TokenRequest>): Promise<Caller> => {
    const token = await mintToken({
      secret: SECRET,
      subject: 'tester',
      plane: 'admin',
      capabilities: CAPABILITIES[request.plane ?? 'admin'],
      ttlSeconds: 365 * 86_400,
      now: clock.now(),
      ...request,
    });
    return callerOf(server.url, token);
  };
  return {
    clock,
    url: server.url,
    databaseUrl: database.url,
    log: testLog,
    admin: await as({ workspaces: '*' }),
    system: await as({ plane: 'system' }),
    as,
    async close() {
      await server.close();
      await runtime.close();
      await closeLog();
      await database.close();
    },
  };
}

function callerOf(url: string, token: string): Caller {
  const call = async (method: string, path: string, body: unknown, headers: Record<string, string>) => {
    const response = await fetch(url + path, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        connection: 'close',
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      text,
      body: JSON.parse(text === '' ? '{}' : text) as Body,
    };
  };
  return {
    get: (path, headers = {}) => call('GET', path, undefined, headers),
    post: (path, body = {}, headers = {}) => call('POST', path, body, headers),
  };
}
