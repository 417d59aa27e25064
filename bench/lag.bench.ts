import { Client } from 'pg';
import type { Benchmark } from './bench-context';
import { figure, percentile } from './figures';
import { BENCH_SECRET, benchToken, createHttpClient } from './http-client';
import { pacedCommands } from './paced-commands';

const AIM_P99_MS = 100;
const SOCKETS = 64;
const COMMITS = 500;
const READ_EVERY = 4;
/** Until its code is compiled the server is slower than the load, and a backlog grows that has to go first. */
const WARM_UP_SECONDS = 15;

export const lagBenchmark: Benchmark = {
  name: 'lag',
  about:
    'From the moment a command is due until its effect is read, at a steady rate and never waiting for answers (an open ' +
    'loop), over HTTP against the server with all its roles in a process of its own; the load comes from this process on ' +
    `the same processors. Every ${READ_EVERY}th command is followed by GET /admin/operations/{runId} with minPosition of its ` +
    'answer, and what comes back must hold its version. The first seconds warm up and do not count. Limit: two durable ' +
    'one-row commits, one after the other. ' +
    'Figures: lag.p50, lag.p99, lag.answer.p50 and lag.answer.p99 (due until the answer to the command), lag.rate',
  async run({ freshDatabase, launcher, record, say, sizes }) {
    const databaseUrl = await freshDatabase('bench_lag');
    const limits = await twoCommits(databaseUrl);
    const server = await launcher.serve({ DATABASE_URL: databaseUrl, AUTH_JWT_SECRET: BENCH_SECRET });
    const client = createHttpClient(server.url, await benchToken('admin'), SOCKETS);
    try {
      const { commandsPerSecond, lagSeconds } = sizes;
      const warmUp = Math.ceil(commandsPerSecond * Math.min(WARM_UP_SECONDS, lagSeconds / 2));
      const total = warmUp + commandsPerSecond * lagSeconds;
      say(`${commandsPerSecond} commands/s for ${lagSeconds} s; the server runs ${server.place}`);
      const { samples, rate } = await pacedCommands(client, {
        perSecond: commandsPerSecond,
        readEvery: READ_EVERY,
        isOver: (sent) => sent >= total,
      });
      const counted = samples.filter(({ nth }) => nth >= warmUp);
      say(`${counted.length.toLocaleString('en')} commands measured, ${warmUp} before them for warming up`);
      const answered = counted.map((sample) => sample.answeredMs);
      const visible = counted.map((sample) => sample.visibleMs).filter((ms) => ms !== null);
      record(
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
