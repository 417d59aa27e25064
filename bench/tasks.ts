import { join } from 'node:path';
import { surfaces } from '../projections';
import { runImport } from '../src/import/run-import';
import { catchUp } from '../src/projector/generation-projector';
import { buildGeneration } from '../src/replay/generation-build';
import type { OperatorContext } from '../src/replay/operator-context';
import { abortReplay, startReplay } from '../src/replay/replays';
import type { Runtime } from '../src/runtime';
import type { Measured, Task } from './bench-context';
import { withBenchRuntime } from './bench-runtime';

/** Does the work that a benchmark measures, in this process. */
export function runTask(task: Task): Promise<Measured> {
  return withBenchRuntime(task.databaseUrl, async (runtime) => {
    const cpuBefore = process.cpuUsage();
    const { events, seconds } =
      task.kind === 'import'
        ? await importTrace(runtime, task.folder)
        : task.kind === 'project'
          ? await project(runtime)
          : await rebuild(runtime, task.full);
    const { user, system } = process.cpuUsage(cpuBefore);
    // The operating system keeps the peak: no sampling can miss it. In KiB.
    const peakMb = process.resourceUsage().maxRSS / 1024;
    return { events, seconds, peakMb, cpuSeconds: (user + system) / 1e6 };
  });
}

async function importTrace({ store, live }: Runtime, folder: string) {
  const rejectsPath = join(folder, 'rejects.ndjson');
  const report = await runImport({ store, judge: live.current(), dir: folder, rejectsPath });
  if (report.rejected > 0 || report.interrupted)
    throw new Error(`the import refused ${report.rejected} of its rows: see ${rejectsPath}`);
  return { events: report.eventsAppended, seconds: report.seconds };
}

async function project({ config, pool, store, generation, live }: Runtime) {
  let events = 0;
  const begun = performance.now();
  await catchUp(generation.id, {
    pool,
    store,
    surfaces,
    judge: live.current(),
    batchSize: config.projectorBatchSize,
    onBatch: (batch) => (events += batch.events),
  });
  return { events, seconds: (performance.now() - begun) / 1000 };
}

/** Builds a generation beside the live one until it is ready, and drops it. */
async function rebuild({ config, pool, store, live, clock }: Runtime, full: boolean) {
  const judge = live.current();
  const context: OperatorContext = { pool, store, surfaces, clock, judge: () => judge };
  const operator = { actor: 'bench', reason: null };
  const generation = await startReplay(context, { full }, operator);
  const begun = performance.now();
  const options = { pool, store, surfaces, judge, batchSize: config.projectorBatchSize };
  await buildGeneration(generation.id, options, new AbortController().signal);
  const seconds = (performance.now() - begun) / 1000;
  await abortReplay(context, generation.id, operator);
  return { events: generation.workTotal, seconds };
}
