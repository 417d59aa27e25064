import type { BenchContext, Benchmark } from './bench-context';
import { withBenchRuntime } from './bench-runtime';
import { figure, percentile } from './figures';
import { BENCH_SECRET, benchToken, createHttpClient } from './http-client';
import type { HttpClient } from './http-client';
import { inLanes } from './in-parallel';
import { loadRuns } from './loaded-runs';
import type { LoadedRuns } from './loaded-runs';
import { queryRequests } from './query-requests';

const AIM_P99_MS = 25;
const CONCURRENCY = 4;

export const queriesBenchmark: Benchmark = {
  name: 'queries',
  about:
    'Time to answer, over HTTP against a server (api role alone, nothing else going on) in a process of its own, of ' +
    'tenant-summary, workspace-summary, recent, hub, hub-workspace-class, hub-type-outcome, system-summary, stuck, ' +
    'run-detail and progress, one request after the other and (x4) four at a time, on busy and quiet tenants as they come. The ' +
    "read tables are filled by COPY with what the surfaces' own functions make of simulated runs, then indexed, vacuumed " +
    'and analysed. Limit: GET /health/live in the same way, which asks the database nothing. Figures: ' +
    'queries.<runs>.<query>[.x4].p50 and .p99',
  async run(context) {
    for (const runs of context.sizes.queriedRuns) await queriesOver(context, runs);
  },
};

async function queriesOver(context: BenchContext, runs: number): Promise<void> {
  const databaseUrl = await context.freshDatabase('bench_queries');
  context.say(`loading ${runs.toLocaleString('en')} runs`);
  const begun = performance.now();
  const loaded = await withBenchRuntime(databaseUrl, (runtime) => loadRuns(runtime, runs));
  const seconds = (performance.now() - begun) / 1000;
  context.say(`loaded in ${seconds.toFixed(0)} s; ${loaded.active.toLocaleString('en')} are active`);
  const server = await context.launcher.serve({
    DATABASE_URL: databaseUrl,
    AUTH_JWT_SECRET: BENCH_SECRET,
    ROLES: 'api',
  });
  const clients = {
    admin: createHttpClient(server.url, await benchToken('admin'), CONCURRENCY),
    system: createHttpClient(server.url, await benchToken('system'), CONCURRENCY),
  };
  try {
    await refuseOtherTotal(clients.system, runs);
    await measureAll(context, clients, loaded, runs);
  } finally {
    clients.admin.close();
    clients.system.close();
    await server.stop();
  }
}

async function measureAll(
  { sizes: { requests }, say, record }: BenchContext,
  clients: Readonly<Record<'admin' | 'system', HttpClient>>,
  loaded: LoadedRuns,
  runs: number,
): Promise<void> {
  const floor = await measure(requests, () => clients.admin.get('/health/live'));
  for (const { name, plane, path } of queryRequests(loaded)) {
    say(`${requests.toLocaleString('en')} requests of ${name}, twice`);
    const times = await measure(requests, (nth) => clients[plane].get(path(nth)));
    for (const [mode, suffix] of [
      ['alone', ''],
      ['together', '.x4'],
    ] as const)
      for (const percent of [50, 99])
        record(
          figure(`queries.${runs}.${name}${suffix}.p${percent}`, percentile(times[mode], percent), 'ms', {
            aim: percent === 99 ? AIM_P99_MS : null,
            limit: percentile(floor[mode], percent),
          }),
        );
  }
}

/** Milliseconds of each request: one after the other, and with `CONCURRENCY` under way. */
async function measure(requests: number, ask: (nth: number) => Promise<unknown>) {
  const times = async (lanes: number) => {
    const taken: number[] = [];
    await inLanes(requests, lanes, async (nth) => {
      const begun = performance.now();
      await ask(nth);
      taken.push(performance.now() - begun);
    });
    return taken;
  };
  await inLanes(Math.ceil(requests / 10), CONCURRENCY, async (nth) => void (await ask(nth)));
  return { alone: await times(1), together: await times(CONCURRENCY) };
}

/** That the server counts what was loaded is the proof that it was loaded as the engine would have. */
async function refuseOtherTotal(client: HttpClient, runs: number): Promise<void> {
  const answer = JSON.parse(await client.get('/system/ops/summary')) as {
    data: { buckets: { total: { value: number } } };
  };
  const { value } = answer.data.buckets.total;
  if (value !== runs) throw new Error(`${runs} runs were loaded, but the platform's total is ${value}`);
}
