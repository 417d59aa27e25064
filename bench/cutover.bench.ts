import { setTimeout as sleep } from 'node:timers/promises';
import type { Benchmark } from './bench-context';
import { figure, percentile } from './figures';
import { BENCH_SECRET, benchToken, createHttpClient } from './http-client';
import type { HttpClient } from './http-client';
import { pacedCommands } from './paced-commands';

const AIM_P99_MS = 250;
const SOCKETS = 64;
const QUERIES_PER_SECOND = 100;
/** Of the time of `lag`: a moment of the load in each state. */
const PART_IN_EACH_STATE = 1 / 10;
/** On top of the queries. */
const READ_EVERY = 8;
const QUERIES = [
  '/system/ops/summary',
  '/system/ops/runs?limit=20',
  '/system/ops/stuck?limit=20',
  '/system/ops/failures?limit=20',
];

export const cutoverBenchmark: Benchmark = {
  name: 'cutover',
  about:
    `The commands of \`lag\`, every ${READ_EVERY}th of them followed by a read, and ${QUERIES_PER_SECOND} system queries a second besides, while an operator starts a full replay, ` +
    'cuts over to it when it is ready, and rolls back. The api role runs in a process of its own, the others in another. ' +
    'A query that fails, an answer of neither generation and a summary ' +
    'that does not add up end the benchmark with an error. Figures: cutover.lag.p50, cutover.lag.p99, ' +
    'cutover.query.p50, cutover.query.p99, cutover.queries (how many were asked a second)',
  async run({ freshDatabase, launcher, record, say, sizes }) {
    const databaseUrl = await freshDatabase('bench_cutover');
    const settings = { DATABASE_URL: databaseUrl, AUTH_JWT_SECRET: BENCH_SECRET };
    const server = await launcher.serve({ ...settings, ROLES: 'api' });
    const projecting = await launcher.serve({ ...settings, ROLES: 'projector,reconciler' });
    const admin = createHttpClient(server.url, await benchToken('admin'), SOCKETS);
    const system = createHttpClient(server.url, await benchToken('system'), SOCKETS);
    try {
      const { commandsPerSecond, lagSeconds } = sizes;
      const warmUpSeconds = lagSeconds / 2;
      let over = false;
      const commands = pacedCommands(admin, {
        perSecond: commandsPerSecond,
        readEvery: READ_EVERY,
        isOver: () => over,
      });
      const queries = pacedQueries(system, () => over);
      // Both are awaited when the operator is done; what fails before that must not end the process.
      for (const load of [commands, queries]) load.catch(() => undefined);
      try {
        await sleep(warmUpSeconds * 1000);
        await operate(system, lagSeconds * PART_IN_EACH_STATE, say);
      } finally {
        over = true;
      }
      const [{ samples }, asked] = [await commands, await queries];
      const times = asked.times.slice(QUERIES_PER_SECOND * warmUpSeconds);
      const counted = samples.filter(({ nth }) => nth >= commandsPerSecond * warmUpSeconds);
      const visible = counted.map((sample) => sample.visibleMs).filter((ms) => ms !== null);
      say(`${counted.length} commands and ${times.length} queries, none failed`);
      record(
        figure('cutover.lag.p50', percentile(visible, 50), 'ms'),
        figure('cutover.lag.p99', percentile(visible, 99), 'ms', { aim: AIM_P99_MS }),
        figure('cutover.query.p50', percentile(times, 50), 'ms'),
        figure('cutover.query.p99', percentile(times, 99), 'ms'),
        figure('cutover.queries', asked.rate, 'queries/s'),
      );
    } finally {
      admin.close();
      system.close();
      await server.stop();
      await projecting.stop();
    }
  },
};

/** Start, cutover and rollback, with so long of the load in each state. */
async function operate(
  system: HttpClient,
  secondsInEachState: number,
  say: (line: string) => void,
): Promise<void> {
  const replays = '/system/projections/replays';
  const begun = performance.now();
  const after = () => `${((performance.now() - begun) / 1000).toFixed(1)} s`;
  const started = await system.post(replays, { full: true, reason: 'benchmark' });
  const { id } = (JSON.parse(started) as { data: { id: number } }).data;
  for (let state = 'building'; state !== 'ready'; await sleep(100)) {
    const answer = JSON.parse(await system.get(`${replays}/${id}`)) as { data: { state: string } };
    state = answer.data.state;
    if (state === 'failed') throw new Error(`replay ${id} failed`);
  }
  say(`the replay was ready after ${after()}`);
  await system.post(`${replays}/${id}/cutover`, { apply: true, reason: 'benchmark' });
  say(`cut over after ${after()}`);
  await sleep(secondsInEachState * 1000);
  await system.post('/system/projections/rollback', { apply: true, reason: 'benchmark' });
  say(`rolled back after ${after()}`);
  await sleep(secondsInEachState * 1000);
}

/** Asks in turn and never waits; throws the first failure, and for an answer that could not have come from one generation. */
async function pacedQueries(
  system: HttpClient,
  isOver: () => boolean,
): Promise<{ readonly times: readonly number[]; readonly rate: number }> {
  const times: number[] = [];
  const failures: unknown[] = [];
  const asking: Promise<void>[] = [];
  const begun = performance.now();
  for (let nth = 0; failures.length === 0 && !isOver(); nth++) {
    const dueAt = begun + (nth * 1000) / QUERIES_PER_SECOND;
    const waitMs = dueAt - performance.now();
    if (waitMs > 0) await sleep(waitMs);
    const work = async () => {
      const answer = await system.get(QUERIES[nth % QUERIES.length]!);
      times.push(performance.now() - dueAt);
      refuseMixture(answer);
    };
    asking.push(work().catch((error: unknown) => void failures.push(error)));
  }
  await Promise.all(asking);
  if (failures.length > 0) throw failures[0];
  return { times, rate: times.length / ((performance.now() - begun) / 1000) };
}

/** Counts of two generations, at two positions, would not add up. */
function refuseMixture(answer: string): void {
  const { data } = JSON.parse(answer) as { data: { buckets?: Record<string, { value: number }> } };
  if (!data.buckets) return;
  const valueOf = (name: string) => data.buckets![name]!.value;
  const sum = valueOf('none') + valueOf('active_stale_attention') + valueOf('terminal_follow_up');
  if (sum !== valueOf('total'))
    throw new Error(`a summary of ${valueOf('total')} runs whose classes add up to ${sum}`);
}
