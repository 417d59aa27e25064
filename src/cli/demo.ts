import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { grantsFromFlags, mintToken } from '../auth/mint-token';
import { buildInProcess } from '../runtime/build-process';
import { loadConfig } from '../config';
import type { Config } from '../config';
import { counted } from '../tools/counted';
import { createApiClient } from '../demo/api-client';
import { cutAt, demoWorkload, reconciledRuns, reportLate, retryFailures, send } from '../demo/scenario';
import type { DemoApis } from '../demo/scenario';
import { isLater, micros, systemClock } from '../events/instant';
import { createLogger } from '../observability/logger';
import { openRuntime } from '../runtime/runtime';
import type { Runtime } from '../runtime/runtime';
import { startServer } from '../runtime/server';
import type { Server } from '../runtime/server';
import type { SimulatedCommand } from '../simulator/workload';
import { demoSecret } from './dev-secret';
import { table } from './output';
import type { Output } from './output';
import { stopSignal } from './stop-signal';

export interface DemoFlags {
  readonly once?: boolean;
  readonly seed: number;
  readonly runs: number;
}

const TOKEN_TTL_SECONDS = 7 * 86_400;
const REPORT_EVERY_MS = 15_000;

/** The whole product in one process, with a simulated platform behind it. With `once` it ends after the summary. */
export async function demo(output: Output, { once = false, seed, runs }: DemoFlags): Promise<void> {
  const config = await demoConfig();
  const log = createLogger({ level: process.env.LOG_LEVEL ?? 'warn' }, process.stderr);
  output.line(
    config.databaseUrl === undefined
      ? `starting PostgreSQL and all roles; data under ${config.home} ...`
      : 'starting all roles on the database of DATABASE_URL ...',
  );
  const runtime = await openRuntime(config, log);
  let server: Server | null = null;
  try {
    server = await startOnFreePort(runtime, log);
    const tokens = await mintTokens(config);
    const apis: DemoApis = {
      admin: createApiClient(server.url, tokens.admin),
      system: createApiClient(server.url, tokens.system),
    };
    const workload = demoWorkload(seed, runs, systemClock.now());
    const { past, future } = cutAt(workload, systemClock.now());
    const bar = output.progress('simulating the last 3 hours', 'commands', past.length);
    const sent = await send(apis, past, (done) => bar.update(done));
    bar.stop();
    const reconciled = await reconciledRuns(apis, workload.idPrefix, () => sleep(750));
    const late = await reportLate(apis, reconciled, systemClock);
    const retried = await retryFailures(apis, systemClock);
    output.line(
      `${counted(sent.sent, 'command')} through the handlers (${sent.refused} refused as a worker's would be), ` +
        `${counted(reconciled.length, 'silent run')} failed by the reconciler, ${late} of them reported late, ` +
        `${counted(retried, 'run')} retried`,
    );
    await printSummary(output, apis, { url: server.url, tokens, goesOn: !once }, await lastPosition(apis));
    if (once) return;
    output.line('the platform goes on living; stop it with Ctrl-C');
    await Promise.race([goOn(output, apis, future), server.failure]);
  } finally {
    await server?.close();
    await runtime.close();
  }
}

/** The demo's own secret and, unless a port was asked for, the usual one or the next that is free. */
async function demoConfig(): Promise<Config> {
  const given = loadConfig(process.env, { requireAuth: false });
  const secret = given.auth?.kind === 'secret' ? given.auth.secret : await demoSecret(given.home);
  return {
    ...given,
    roles: new Set(['api', 'projector', 'reconciler']),
    reconcilerIntervalSeconds: Math.min(given.reconcilerIntervalSeconds, 2),
    auth: { ...given.auth, kind: 'secret', secret },
  };
}

async function startOnFreePort(runtime: Runtime, log: Logger): Promise<Server> {
  try {
    return await startServer(runtime, log, buildInProcess(runtime));
  } catch (error) {
    if (process.env.PORT !== undefined || (error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    return startServer({ ...runtime, config: { ...runtime.config, port: 0 } }, log, buildInProcess(runtime));
  }
}

interface Tokens {
  readonly admin: string;
  readonly workspace: string;
  readonly system: string;
}

async function mintTokens(config: Config): Promise<Tokens> {
  if (config.auth?.kind !== 'secret') throw new Error('the demo signs with a shared secret');
  const { secret, issuer, audience } = config.auth;
  const mint = (plane: 'admin' | 'system', workspaces: string[]) =>
    mintToken({
      secret,
      subject: `demo-${plane}`,
      plane,
      ...grantsFromFlags(plane, workspaces, []),
      ttlSeconds: TOKEN_TTL_SECONDS,
      now: systemClock.now(),
      ...(issuer !== undefined && { issuer }),
      ...(audience !== undefined && { audience }),
    });
  return {
    admin: await mint('admin', []),
    workspace: await mint('admin', ['workspace-1']),
    system: await mint('system', []),
  };
}

interface Summary {
  readonly meta: { readonly position: string; readonly asOf: string };
  readonly data: {
    readonly buckets: Readonly<Record<string, { readonly value: number }>>;
    readonly workspaces: readonly {
      readonly workspaceId: string;
      readonly buckets: Readonly<Record<string, { readonly value: number }>>;
    }[];
  };
}

/** Each adds up to the total: what runs are doing or have come to, and the class of their problem. */
const STATES = ['queued', 'running', 'succeeded', 'partially_succeeded', 'failed', 'blocked', 'cancelled'];
const CLASSES = ['none', 'active_stale_attention', 'terminal_follow_up'];
/** Some of those above. */
const AMONG_THEM = ['terminal_follow_up_open', 'reconciled_stale'];
const SHOWN = ['total', ...STATES, ...CLASSES, ...AMONG_THEM];

async function lastPosition({ system }: DemoApis): Promise<string> {
  const { data } = await system.get<{ data: { tail: string } }>('/system/projections');
  return data.tail;
}

async function printSummary(
  output: Output,
  { system }: DemoApis,
  { url, tokens, goesOn }: { url: string; tokens: Tokens; goesOn: boolean },
  position: string,
) {
  const summary = await system.get<Summary>(`/system/ops/summary?minPosition=${position}`);
  const { data, meta } = summary;
  const places = whereToLook(url, tokens);
  const table = [`as of ${meta.asOf}, position ${meta.position}`, ...summaryLines(data), ''];
  output.result({ url, tokens, summary }, () =>
    goesOn ? ['', ...table, ...places] : ['', 'served until this command ends:', '', ...places, ...table],
  );
}

/** Two tables, for one would be wider than a terminal. */
function summaryLines(data: Summary['data']): string[] {
  const places = [
    ...data.workspaces.map((one) => ({ name: one.workspaceId, buckets: one.buckets })),
    { name: 'platform', buckets: data.buckets },
  ];
  const tableOf = (shown: readonly string[]) =>
    table(
      ['workspace', ...shown],
      places.map(({ name, buckets }) => [name, ...shown.map((bucket) => buckets[bucket]?.value ?? null)]),
    );
  return [...tableOf(['total', ...STATES]), '', ...tableOf(['total', ...CLASSES, ...AMONG_THEM])];
}

function whereToLook(url: string, tokens: Tokens): string[] {
  return [
    'browse the API      ' + `${url}/docs`,
    'health and metrics  ' + `${url}/health/ready  ${url}/metrics`,
    '',
    ...example('admin plane, every workspace', tokens.admin, `${url}/admin/operations`),
    ...example(
      'admin plane, workspace-1 only',
      tokens.workspace,
      `${url}/workspaces/workspace-1/operations/summary`,
      `${url}/workspaces/workspace-1/tenants/tenant-1/operations/summary`,
    ),
    ...example('system plane', tokens.system, `${url}/system/ops/summary`, `${url}/system/ops/stuck`),
  ];
}

function example(title: string, token: string, ...urls: readonly string[]): string[] {
  return [`${title}:`, ...urls.map((one) => `  curl -H "Authorization: Bearer ${token}" ${one}`), ''];
}

/** Sends what is to come at its own time, until a signal asks to stop. */
async function goOn(output: Output, apis: DemoApis, future: readonly SimulatedCommand[]): Promise<void> {
  const stopped = stopSignal();
  let next = 0;
  let reported = Date.now();
  for (;;) {
    const ended = await Promise.race([stopped.then(() => true), sleep(1_000).then(() => false)]);
    if (ended) return;
    const due: SimulatedCommand[] = [];
    for (; next < future.length && !isLater(future[next]!.command.at, systemClock.now()); next++)
      due.push(future[next]!);
    await send(apis, due, () => undefined);
    if (Date.now() - reported < REPORT_EVERY_MS) continue;
    reported = Date.now();
    const { data, meta } = await apis.system.get<Summary>('/system/ops/summary');
    const figures = SHOWN.map((bucket) => `${bucket} ${data.buckets[bucket]?.value ?? '?'}`);
    output.line(`${new Date(micros(meta.asOf) / 1000).toISOString()}  ${figures.join(', ')}`);
  }
}
