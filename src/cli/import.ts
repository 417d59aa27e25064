import { randomUUID } from 'node:crypto';
import { surfaces } from '../../projections/surfaces';
import { ConfigError } from '../config';
import { counted } from '../tools/counted';
import { COUNT_ALL } from '../event-store/event-store';
import { START } from '../events/position';
import type { Instant } from '../events/instant';
import type { ImportProgress } from '../import/import-progress';
import type { ImportReport } from '../import/import-report';
import { runImport } from '../import/run-import';
import { sleep } from '../tools/abortable';
import { catchUp } from '../projector/generation-projector';
import type { ProjectorOptions } from '../projector/generation-projector';
import { FencedError } from '../projector/run-folding';
import { createLease } from '../projector/lease';
import { generationById } from '../projector/generations';
import type { Runtime } from '../runtime/runtime';
import type { Output, Progress } from './output';
import { stopSignal } from './stop-signal';
import { withRuntime } from './with-runtime';

export interface ImportFlags {
  readonly ndjson?: string;
  readonly until?: Instant;
  readonly rejects?: string;
}

/** Imports a folder or NDJSON; then projects what it wrote, unless a running process does. Ctrl-C stops between chunks. */
export async function importVerb(output: Output, dir: string | undefined, flags: ImportFlags): Promise<void> {
  const source = sourceOf(dir, flags);
  await withRuntime({ migrate: true }, async (runtime) => {
    const stopping = new AbortController();
    void stopSignal().then(() => stopping.abort());
    const { store, live, discarded, clock } = runtime;
    const shown = { bar: null as Progress | null, phase: null as string | null };
    const report = await runImport({
      ...source,
      store,
      judge: live.current(),
      discards: discarded,
      clock,
      signal: stopping.signal,
      onProgress: (progress) => show(output, shown, progress),
      ...(flags.rejects !== undefined && { rejectsPath: flags.rejects }),
    });
    shown.bar?.stop();
    const projected = report.interrupted
      ? null
      : await projectIfNobodyDoes(runtime, output, report.eventsAppended, stopping.signal);
    // A script must not take half an import for a whole one.
    if (report.interrupted) process.exitCode = 1;
    output.result({ ...report, projected }, () => linesOf(report, projected));
  });
}

const LOOKS = 100;
const LOOK_AGAIN_MS = 50;

function sourceOf(dir: string | undefined, { ndjson, until }: ImportFlags) {
  if ((dir === undefined) === (ndjson === undefined))
    throw new ConfigError([
      'import: give a folder with a mapping.json, or else --ndjson FILE (- for standard input)',
    ]);
  if (ndjson !== undefined) {
    if (until !== undefined)
      throw new ConfigError(['--until: goes with a folder; filter the lines of --ndjson instead']);
    return { ndjson };
  }
  return { dir: dir!, ...(until !== undefined && { until }) };
}

function show(
  output: Output,
  shown: { bar: Progress | null; phase: string | null },
  progress: ImportProgress,
): void {
  const byCommands = progress.phase === 'importing' && progress.commandsTotal !== null;
  if (shown.phase !== progress.phase) {
    shown.bar?.stop();
    shown.phase = progress.phase;
    shown.bar = output.progress(progress.phase, 'rows', 0);
  }
  // Where only bytes are known, rows still to come are guessed from the rows and bytes so far.
  const rowsExpected =
    progress.bytesTotal !== null && progress.bytesDone > 0
      ? Math.max(
          progress.rowsDone,
          Math.round((progress.rowsDone * progress.bytesTotal) / progress.bytesDone),
        )
      : 0;
  const [done, total] = byCommands
    ? [progress.commandsDone, progress.commandsTotal]
    : [progress.rowsDone, rowsExpected];
  shown.bar?.update(done, { total, note: counted(progress.eventsAppended, 'event') });
}

/** Events brought into the read tables here, or null when another process holds that job. */
async function projectIfNobodyDoes(
  runtime: Runtime,
  output: Output,
  appended: number,
  signal: AbortSignal,
): Promise<number | null> {
  const { pool, store, live, generation, config } = runtime;
  const lease = createLease(pool, 'projector', `import:${randomUUID()}`, 30);
  if (!(await lease.hold())) return null;
  const renewal = setInterval(() => void lease.hold().catch(() => clearInterval(renewal)), 10_000);
  let bar: ReturnType<Output['progress']> | undefined;
  try {
    const current = await generationById(pool, generation.id);
    const pending = (await store.pending(current?.checkpoint ?? START, COUNT_ALL)).events;
    bar = output.progress('projecting', 'events', pending);
    let done = 0;
    const options: ProjectorOptions = {
      pool,
      store,
      surfaces,
      judge: live.current(),
      batchSize: config.projectorBatchSize,
      onBatch: ({ events }) => bar?.update((done += events), { total: Math.max(pending, done) }),
    };
    await catchUp(generation.id, options, signal);
    // The newest events stay out of sight while any older transaction of the server runs, if only its own upkeep.
    for (let look = 0; done < appended && look < LOOKS && !signal.aborted; look++) {
      await sleep(LOOK_AGAIN_MS, signal);
      await catchUp(generation.id, options, signal);
    }
    return done;
  } catch (error) {
    // A server has started meanwhile and projects: what was left is in its hands.
    if (error instanceof FencedError) return null;
    throw error;
  } finally {
    clearInterval(renewal);
    bar?.stop();
    await lease.release();
  }
}

function linesOf(report: ImportReport, projected: number | null): string[] {
  const states = Object.entries(report.byStatusAndOutcome).filter(([, runs]) => runs > 0);
  const notes: [count: number, one: string, many: string][] = [
    [
      report.eventsAlreadyStored,
      'command whose event was stored already',
      'commands whose event was stored already',
    ],
    [report.commandsUnchanged, 'command that changed nothing', 'commands that changed nothing'],
    [report.ignoredRows, 'row that means nothing by the mapping', 'rows that mean nothing by the mapping'],
    [report.afterUntil, 'row later than --until', 'rows later than --until'],
    [report.skippedUnknownRun, 'row of a run never queued, skipped', 'rows of runs never queued, skipped'],
    [report.queuedAgain, 'run queued again while active', 'runs queued again while active'],
    [
      report.heartbeatsAfterEnd,
      'heartbeat after the end of its run',
      'heartbeats after the end of their runs',
    ],
  ];
  return [
    `${report.dataset}: ${counted(report.rows, 'row')} of ${counted(report.files, 'file')} ` +
      `(${counted(report.eventRows, 'event')}, ${counted(report.heartbeatRows, 'heartbeat')})`,
    `${counted(report.eventsAppended, 'event')} appended in ${report.seconds.toFixed(1)} s (${Math.round(report.eventsPerSecond)}/s)`,
    `${counted(report.runs, 'run')}: ${states.map(([state, runs]) => `${state} ${runs}`).join(', ')}`,
    ...notes.filter(([count]) => count > 0).map(([count, one, many]) => counted(count, one, many)),
    ...(report.rejected > 0
      ? [`${counted(report.rejected, 'row')} rejected, see ${report.rejectsFile}`]
      : []),
    ...(report.interrupted ? ['interrupted: the same import again goes on from here'] : []),
    projected === null
      ? 'a running projector brings them to the surfaces'
      : `${counted(projected, 'event')} projected into all surfaces`,
  ];
}
