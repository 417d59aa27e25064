import { join } from 'node:path';
import { surfaces } from '../projections/surfaces';
import { defaultPolicy } from '../src/classifier/policy';
import type { Policy } from '../src/classifier/policy';
import type { Append } from '../src/event-store/event-store';
import { START } from '../src/events/position';
import { runImport } from '../src/import/run-import';
import { catchUp } from '../src/projector/generation-projector';
import { judgeFor } from '../src/projector/live-classification';
import { buildGeneration } from '../src/replay/build/generation-build';
import type { OperatorContext } from '../src/replay/operator-context';
import { proposePolicy } from '../src/replay/propose-policy';
import { abortReplay, startReplay } from '../src/replay/replays';
import type { Runtime } from '../src/runtime/runtime';
import type { Measured, Rebuilding, Task } from './bench-context';
import { withBenchRuntime } from './bench-runtime';
import { appendAll, benchCommands, countEvents, decidedAppends, LOG_CHUNK } from './simulated-events';

/** Does the work that a benchmark measures, in this process. */
export function runTask(task: Task): Promise<Measured> {
  const work = async (runtime: Runtime) => {
    const cpuBefore = process.cpuUsage();
    const { events, seconds } = await workOf(task, runtime);
    const { user, system } = process.cpuUsage(cpuBefore);
    // The operating system keeps the peak: no sampling can miss it. In KiB.
    const peakMb = process.resourceUsage().maxRSS / 1024;
    return { events, seconds, peakMb, cpuSeconds: (user + system) / 1e6 };
  };
  return withBenchRuntime(task.databaseUrl, work, 'eventStoreUrl' in task ? task.eventStoreUrl : undefined);
}

function workOf(task: Task, runtime: Runtime): Promise<{ events: number; seconds: number }> {
  switch (task.kind) {
    case 'import':
      return importTrace(runtime, task.folder);
    case 'project':
      return project(runtime);
    case 'rebuild':
      return rebuild(runtime, task.by);
    case 'append':
      return append(runtime, task.events);
    case 'subscribe':
      return subscribe(runtime, task.events);
  }
}

/** Decided before; appended chunk by chunk, as an import does. */
async function append({ store, live }: Runtime, size: number) {
  const chunks: (readonly Append[])[] = [];
  let events = 0;
  const enough = () => events >= size;
  for (const chunk of decidedAppends(benchCommands(enough), live.current(), LOG_CHUNK)) {
    chunks.push(chunk);
    events += countEvents(chunk);
  }
  const begun = performance.now();
  for (const chunk of chunks) await appendAll(store, chunk);
  return { events, seconds: (performance.now() - begun) / 1000 };
}

/** From the beginning of the log, as a projector that does nothing. */
async function subscribe({ store, config }: Runtime, size: number) {
  const { signal } = new AbortController();
  let events = 0;
  const begun = performance.now();
  for await (const batch of store.subscribe(START, { batchSize: config.projectorBatchSize, signal })) {
    events += batch.length;
    if (events >= size) break;
  }
  return { events, seconds: (performance.now() - begun) / 1000 };
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

/** The policy in force with what `by` changes. */
function changedPolicy(by: Rebuilding): Policy {
  const policy = defaultPolicy();
  if (by === 'facts-outcomes')
    return { ...policy, outcomeClasses: { ...policy.outcomeClasses, partially_succeeded: 'none' } };
  // Of every type: each run that has not ended goes stale at another instant.
  const shorter = { queuedStaleAfterSeconds: 61, runningStaleAfterSeconds: 241 };
  const types = { ...policy.types };
  for (const type in types) types[type] = { ...types[type], ...shorter };
  return { ...policy, defaults: { ...policy.defaults, ...shorter }, types };
}

const OPERATOR = { actor: 'bench', reason: null };

/** Builds a generation of other rules beside the live one until it is ready, and drops it. */
async function rebuild({ config, pool, store, live, clock }: Runtime, by: Rebuilding) {
  const context: OperatorContext = { pool, store, surfaces, clock, judge: () => live.current() };
  const { version: policyVersion } = await proposePolicy(pool, changedPolicy(by), OPERATOR);
  const generation = await startReplay(context, { full: by === 'log', policyVersion }, OPERATOR);
  const judge = await judgeFor(pool, generation);
  const begun = performance.now();
  const options = { pool, store, surfaces, judge, batchSize: config.projectorBatchSize };
  await buildGeneration(generation.id, options, new AbortController().signal);
  const seconds = (performance.now() - begun) / 1000;
  await abortReplay(context, generation.id, OPERATOR);
  return { events: generation.workTotal, seconds };
}
