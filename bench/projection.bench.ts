import type { BenchContext, Benchmark, Measured } from './bench-context';
import { withBenchRuntime } from './bench-runtime';
import { figure } from './figures';
import { orderedReadRate, oneTableUpsertRate } from './projection-limits';
import { writeLog } from './simulated-events';

const AIM_EVENTS_PER_SECOND = 8_000;

export const projectionBenchmark: Benchmark = {
  name: 'projection',
  about:
    'Projection of a log into all surfaces by the live engine, batches as configured, in a process of its own. Limits: ' +
    'ordered read + parse + fold in one thread; live-style upserts of the same rows into one table with its indexes. ' +
    'Figures: projection.rate (its limit is the upsert), projection.read-parse-limit, projection.upsert-limit',
  async run(context) {
    const { measured, databaseUrl } = await measureProjection(context);
    const limits = await withBenchRuntime(databaseUrl, async (runtime) => {
      context.say('measuring the limits: ordered read and parse, upserts into one table');
      const read = await orderedReadRate(runtime);
      return { read, upsert: await oneTableUpsertRate(runtime) };
    });
    context.record(
      figure('projection.rate', measured.events / measured.seconds, 'events/s', {
        aim: AIM_EVENTS_PER_SECOND,
        limit: limits.upsert,
      }),
      figure('projection.read-parse-limit', limits.read, 'events/s'),
      figure('projection.upsert-limit', limits.upsert, 'events/s'),
    );
  },
};

interface Projected {
  readonly measured: Measured;
  readonly databaseUrl: string;
}

/** Projects a new log once, whoever asks first. */
export function measureProjection(context: BenchContext): Promise<Projected> {
  return context.once('projection', async () => {
    const databaseUrl = await context.freshDatabase('bench_projection');
    const size = context.sizes.projectedEvents;
    context.say(`writing a log of ${size.toLocaleString('en')} simulated events`);
    await withBenchRuntime(databaseUrl, async ({ pool, store, live }) => {
      await writeLog(store, live.current(), size);
      await pool.query('vacuum analyze opstruth.events');
    });
    context.say('projecting it into all surfaces');
    const measured = await context.launcher.measure({ kind: 'project', databaseUrl });
    context.say(
      `${measured.events.toLocaleString('en')} events in ${measured.seconds.toFixed(1)} s, ` +
        `${measured.cpuSeconds.toFixed(1)} s of it on the processor in Node`,
    );
    return { measured, databaseUrl };
  });
}
