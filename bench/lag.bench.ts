import { Client } from 'pg';
import type { BenchContext, Benchmark } from './bench-context';
import { BENCH_SECRET, benchToken, createHttpClient } from './http-client';
import type { HttpClient } from './http-client';
import { figure, percentile } from './figures';
import { httpCommands } from './http-commands';
import type { HttpCommand } from './http-commands';
import { inParallel } from './in-parallel';

const AIM_P99_MS = 100;
const SOCKETS = 64;
const COMMITS = 500;

export const lagBenchmark: Benchmark = {
  name: 'lag',
  about:
    'From the moment a command is due until its effect is read, at a steady rate and never waiting for answers (an open ' +
    'loop), over HTTP against the server with all its roles in a process of its own; the load comes from this process on ' +
    "the same processors. Every command is followed by GET /admin/operations/{runId} with minPosition of the command's " +
    'answer, and what comes back must hold its version. Limit: two durable one-row commits, one after the other. ' +
    'Figures: lag.p50, lag.p99, lag.answer.p50 and lag.answer.p99 (due until the answer to the command), lag.rate',
  async run(context) {
    const databaseUrl = await context.freshDatabase('bench_lag');
    const limits = await twoCommits(databaseUrl);
    const server = await context.launcher.serve({ DATABASE_URL: databaseUrl, AUTH_JWT_SECRET: BENCH_SECRET });
    const client = createHttpClient(server.url, await benchToken('admin'), SOCKETS);
    try {
      const { commandsPerSecond, lagSeconds } = context.sizes;
      context.say(`${commandsPerSecond} commands/s for ${lagSeconds} s; the server runs ${server.place}`);
      const { samples, rate } = await pacedLoad(context, client);
      const answered = samples.map((sample) => sample.answeredMs);
      const visible = samples.map((sample) => sample.visibleMs);
      context.record(
        figure('lag.p50', percentile(visible, 50), 'ms', { limit: percentile(limits, 50) }),
        figure('lag.p99', percentile(visible, 99), 'ms', { aim: AIM_P99_MS, limit: percentile(limits, 99) }),
        figure('lag.answer.p50', percentile(answered, 50), 'ms'),
        figure('lag.answer.p99', percentile(answered, 99), 'ms'),
        figure('lag.rate', rate, 'commands/s'),
      );
    } finally {
      client.close();
      await server.stop();
    }
  },
};

interface Sample {
  /** From when the command was due. */
  readonly answeredMs: number;
  readonly visibleMs: number;
}

/** Sends the workload at its rate, for a while before it is counted: until the code is compiled, a backlog grows. */
async function pacedLoad({ sizes, say }: BenchContext, client: HttpClient) {
  const warmUp = Math.ceil(sizes.commandsPerSecond * Math.min(15, sizes.lagSeconds / 2));
  const total = warmUp + sizes.commandsPerSecond * sizes.lagSeconds;
  const intervalMs = 1000 / sizes.commandsPerSecond;
  const samples: Sample[] = [];
  const lastOf = new Map<string, Promise<unknown>>();
  const commands = httpCommands();
  let lastEnd = 0;
  const begun = performance.now();
  await inParallel(total, async (nth) => {
    const dueAt = begun + nth * intervalMs;
    const waitMs = dueAt - performance.now();
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    // Taken in the order of due times; a worker sends the next command of a run when the one before is answered.
    const command = commands.next();
    const answered = (lastOf.get(command.runId) ?? Promise.resolve()).then(() => send(client, command));
    lastOf.set(command.runId, answered);
    const { position, version } = await answered;
    const answeredMs = performance.now() - dueAt;
    await untilVisible(client, command.runId, position, version);
    lastEnd = performance.now();
    if (nth >= warmUp) samples.push({ answeredMs, visibleMs: lastEnd - dueAt });
  });
  const rate = total / ((lastEnd - begun) / 1000);
  say(`${samples.length.toLocaleString('en')} commands measured, ${warmUp} before them for warming up`);
  return { samples, rate };
}

async function send(client: HttpClient, { path, body }: HttpCommand) {
  return JSON.parse(await client.post(path, body)) as { position: string; version: number };
}

async function untilVisible(client: HttpClient, runId: string, position: string, version: number) {
  const answer = await client.get(`/admin/operations/${runId}?minPosition=${position}`);
  const { data } = JSON.parse(answer) as { data: { version: number } };
  if (data.version < version)
    throw new Error(`run ${runId} was read at version ${data.version} after ${position}, not ${version}`);
}

/** Milliseconds of two commits of one row each: a command and its projection need no fewer. */
async function twoCommits(databaseUrl: string): Promise<number[]> {
  const client = new Client({ connectionString: databaseUrl, application_name: 'opstruth-bench' });
  await client.connect();
  try {
    await client.query('create table bench_commits (n int)');
    const times: number[] = [];
    for (let nth = 0; nth < COMMITS; nth++) {
      const begun = performance.now();
      await client.query('insert into bench_commits values ($1)', [nth]);
      await client.query('insert into bench_commits values ($1)', [nth]);
      times.push(performance.now() - begun);
    }
    await client.query('drop table bench_commits');
    return times;
  } finally {
    await client.end();
  }
}
