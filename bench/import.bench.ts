import { join } from 'node:path';
import type { Append } from '../src/event-store/event-store';
import type { BenchContext, Benchmark, Measured } from './bench-context';
import { withBenchRuntime } from './bench-runtime';
import { figure } from './figures';
import { appendAll, benchCommands, countEvents, decidedAppends, LOG_CHUNK } from './simulated-events';
import { writeTrace } from './trace-folder';

const AIM_EVENTS_PER_SECOND = 15_000;

export const importBenchmark: Benchmark = {
  name: 'import',
  about:
    'Import of a generated, gzip-compressed trace folder through the decider, in a process of its own. Limit: bulk ' +
    'append of as many events that are decided already. Figure: import.rate',
  async run(context) {
    const imported = await measureImport(context);
    const limit = await bulkAppendRate(context, imported.events);
    const rate = imported.events / imported.seconds;
    context.record(figure('import.rate', rate, 'events/s', { aim: AIM_EVENTS_PER_SECOND, limit }));
  },
};

/** Imports a new trace once, whoever asks first. */
export function measureImport(context: BenchContext): Promise<Measured> {
  return context.once('import', async () => {
    const folder = join(context.folder, 'trace');
    const { rows } = await writeTrace(folder, context.sizes.importRows);
    const databaseUrl = await context.freshDatabase('bench_import');
    context.say(`importing a trace of ${rows.toLocaleString('en')} rows`);
    const measured = await context.launcher.measure({ kind: 'import', databaseUrl, folder });
    context.say(
      `${measured.events.toLocaleString('en')} events in ${measured.seconds.toFixed(1)} s, ` +
        `${measured.cpuSeconds.toFixed(1)} s of it on the processor in Node`,
    );
    return measured;
  });
}

async function bulkAppendRate(context: BenchContext, events: number): Promise<number> {
  const databaseUrl = await context.freshDatabase('bench_append');
  return withBenchRuntime(databaseUrl, async ({ store, live }) => {
    const chunks: (readonly Append[])[] = [];
    let decided = 0;
    const enough = () => decided >= events;
    for (const chunk of decidedAppends(benchCommands(enough), live.current(), LOG_CHUNK)) {
      chunks.push(chunk);
      decided += countEvents(chunk);
    }
    context.say(`appending ${decided.toLocaleString('en')} decided events`);
    const begun = performance.now();
    for (const chunk of chunks) await appendAll(store, chunk);
    return decided / ((performance.now() - begun) / 1000);
  });
}
