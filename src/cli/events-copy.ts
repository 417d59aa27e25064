import { ConfigError, loadConfig } from '../config';
import { counted } from '../tools/counted';
import { EventCopyError } from '../event-copy/copy-error';
import { copyEvents } from '../event-copy/copy-events';
import type { CopyProgress, Verified } from '../event-copy/copy-events';
import { openCopyLog } from '../event-copy/copy-log';
import type { CopyLog, OpenOptions } from '../event-copy/copy-log';
import { ConnectionStringError } from '../event-store/eventstoredb-connection-string';
import { createLogger } from '../observability/logger';
import type { Output, Progress } from './output';
import { stopSignal } from './stop-signal';

export interface CopyFlags {
  readonly from: string;
  readonly to: string;
  readonly inFlight: number;
}

interface CopyReport {
  readonly from: LogName;
  readonly to: LogName;
  /** Null when it was interrupted: how much there is to do is known only at the end. */
  readonly copied: number | null;
  readonly verified: Verified | null;
  /** `kept`, or `anew` where the target gives its own time to every event. */
  readonly recordedAt: 'kept' | 'anew';
  readonly seconds: number;
  readonly interrupted: boolean;
}

interface LogName {
  /** Without credentials. */
  readonly log: string;
  readonly identity: string;
}

/** Copies a log into another store and verifies the copy. Ctrl-C stops between batches; the same again goes on. */
export async function copyVerb(output: Output, { from, to, inFlight }: CopyFlags): Promise<void> {
  const { home } = loadConfig(process.env, { requireAuth: false });
  const log = createLogger({ level: 'warn' }, process.stderr);
  const onError = (error: Error) => log.warn({ err: error }, 'a connection to a log was interrupted');
  const source = await open('--from', from, { home, create: false, onError });
  try {
    const target = await open('--to', to, { home, create: true, onError });
    try {
      const report = await copy(output, source, target, inFlight);
      // A script must not take half a copy for a whole one.
      if (report.interrupted) process.exitCode = 1;
      output.result(report, linesOf);
    } finally {
      await target.close();
    }
  } finally {
    await source.close();
  }
}

async function open(flag: string, url: string, options: OpenOptions): Promise<CopyLog> {
  try {
    return await openCopyLog(url, options);
  } catch (error) {
    if (error instanceof EventCopyError || error instanceof ConnectionStringError)
      throw new ConfigError([`${flag}: ${error.message}`]);
    throw error;
  }
}

async function copy(output: Output, source: CopyLog, target: CopyLog, inFlight: number): Promise<CopyReport> {
  const stopping = new AbortController();
  void stopSignal().then(() => stopping.abort());
  const started = performance.now();
  // Asked first: a log that cannot be relied on says so before anything is written.
  const names = {
    from: { log: source.name, identity: await source.store.identity() },
    to: { log: target.name, identity: await target.store.identity() },
  };
  const shown = createBars(output);
  const report = (copied: Pick<CopyReport, 'copied' | 'verified'>, interrupted: boolean): CopyReport => ({
    ...names,
    ...copied,
    recordedAt: target.keepsRecordedAt ? 'kept' : 'anew',
    seconds: Math.round(performance.now() - started) / 1000,
    interrupted,
  });
  try {
    const { signal } = stopping;
    return report(await copyEvents({ source, target, inFlight, signal, onProgress: shown.show }), false);
  } catch (error) {
    if (!stopping.signal.aborted) throw error;
    return report({ copied: null, verified: null }, true);
  } finally {
    shown.stop();
  }
}

/** One bar for each phase. */
function createBars(output: Output) {
  let phase: CopyProgress['phase'] | undefined;
  let bar: Progress | undefined;
  return {
    show: (progress: CopyProgress) => {
      const total = progress.total === null ? 0 : Math.max(progress.done, progress.total);
      if (progress.phase !== phase) {
        bar?.stop();
        phase = progress.phase;
        bar = output.progress(phase, 'events', total);
      }
      bar?.update(progress.done, { total });
    },
    stop: () => bar?.stop(),
  };
}

function linesOf({ from, to, copied, verified, recordedAt, seconds }: CopyReport): string[] {
  const between = `from ${from.log} (log ${from.identity}) to ${to.log} (log ${to.identity})`;
  if (copied === null || !verified)
    return [`interrupted on the way ${between}`, 'the same command again goes on from what is in the target'];
  return [
    `${counted(copied, 'event')} copied ${between} in ${seconds.toFixed(1)} s`,
    `verified: ${counted(verified.events, 'event')} in ${counted(verified.streams, 'stream')}, each with the same digest; ` +
      `all together ${verified.digest}`,
    verified.sameOrder
      ? 'order: the same, across all streams'
      : 'order: the same in each stream; neighbours of different streams have changed places',
    recordedAt === 'kept'
      ? 'recorded at: kept'
      : 'recorded at: the time of the copy, for EventStoreDB gives its own; what happened when is in the events',
    `up to position ${verified.position} of the source; what comes later is copied by the same command again`,
  ];
}
