import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { RunCommand } from '../src/domain/decider';
import { micros } from '../src/events/instant';
import { MAPPING_FILE } from '../src/import/mapping';
import { BENCH_WORKLOAD, benchCommands } from './simulated-events';

const ROWS_PER_FILE = 20_000;
const COLUMNS = ['time', 'run', 'workspace', 'tenant', 'type', 'initiator', 'event'];
const HEARTBEAT_COLUMNS = ['time', 'run'];

/** The mapping of what `writeTrace` writes, in the format of `opstruth import`. */
const MAPPING = {
  dataset: 'bench',
  layout: 'event-rows',
  files: ['events-*.csv.gz'],
  delimiter: ',',
  columns: COLUMNS,
  time: { kind: 'microseconds', column: 'time', epoch: BENCH_WORKLOAD.start },
  run_id: ['run'],
  workspace: ['workspace'],
  tenant: ['tenant'],
  operation_type: ['type'],
  initiator: ['initiator'],
  event: {
    column: 'event',
    queued: ['QUEUED'],
    started: ['STARTED'],
    outcomes: {
      SUCCEEDED: 'succeeded',
      PARTIALLY_SUCCEEDED: 'partially_succeeded',
      FAILED: 'failed',
      BLOCKED: 'blocked',
      CANCELLED: 'cancelled',
    },
  },
  heartbeats: { files: ['heartbeats-*.csv.gz'], columns: HEARTBEAT_COLUMNS, run_id: ['run'] },
};

/** Writes a trace of at least `size` rows into a new folder: state changes and heartbeats, gzip-compressed. */
export async function writeTrace(folder: string, size: number): Promise<{ readonly rows: number }> {
  await mkdir(folder);
  await writeFile(join(folder, MAPPING_FILE), JSON.stringify(MAPPING, null, 2));
  const events = createRowFiles(folder, 'events');
  const heartbeats = createRowFiles(folder, 'heartbeats');
  const places = new Map<string, string>();
  let rows = 0;
  for (const { runId, command } of benchCommands(() => rows >= size)) {
    const time = String(micros(command.at) - micros(BENCH_WORKLOAD.start));
    if (command.kind === 'progress') {
      await heartbeats.add(`${time},${runId}`);
    } else {
      const code = codeOf(command);
      if (code === null) continue;
      if (command.kind === 'queue')
        places.set(
          runId,
          [command.workspaceId, command.tenantId ?? '', command.type, command.initiator ?? ''].join(','),
        );
      await events.add(`${time},${runId},${places.get(runId)!},${code}`);
    }
    rows += 1;
  }
  await events.end();
  await heartbeats.end();
  return { rows };
}

/** Null for what a trace has no row for. */
function codeOf(command: RunCommand): string | null {
  switch (command.kind) {
    case 'queue':
      return 'QUEUED';
    case 'start':
      return 'STARTED';
    case 'complete':
      return command.outcome.toUpperCase();
    case 'cancel':
      return 'CANCELLED';
    case 'progress':
    case 'resolve':
    case 'reopen':
    case 'retry':
    case 'reconcile':
    case 'record-reconciliation':
    case 'mark-failed':
      return null;
  }
}

function createRowFiles(folder: string, name: string) {
  const compress = promisify(gzip);
  let lines: string[] = [];
  let files = 0;
  const flush = async () => {
    files += 1;
    const file = join(folder, `${name}-${String(files).padStart(5, '0')}.csv.gz`);
    const text = lines.join('\n');
    lines = [];
    await writeFile(file, await compress(`${text}\n`));
  };
  return {
    async add(line: string) {
      lines.push(line);
      if (lines.length === ROWS_PER_FILE) await flush();
    },
    async end() {
      if (lines.length > 0) await flush();
    },
  };
}
