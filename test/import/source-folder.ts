import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** A temporary import folder. */
export interface SourceFolder {
  readonly path: string;
  readonly rejectsPath: string;
  /** Writes a file: lines with a line break behind each, or bytes as they are. */
  file(name: string, content: readonly string[] | Buffer): void;
  mapping(mapping: unknown): void;
  remove(): void;
}

export function sourceFolder(): SourceFolder {
  const path = mkdtempSync(join(tmpdir(), 'opstruth-source-'));
  const file = (name: string, content: readonly string[] | Buffer) => {
    const target = join(path, name);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, Buffer.isBuffer(content) ? content : content.map((line) => `${line}\n`).join(''));
  };
  return {
    path,
    rejectsPath: join(path, 'rejects.ndjson'),
    file,
    mapping: (mapping) => file('mapping.json', Buffer.from(JSON.stringify(mapping))),
    remove: () => rmSync(path, { recursive: true, force: true }),
  };
}

/** Rows of `time,run,code,site,team,kind,who`; times are microseconds after 2020-01-01. */
export const EVENT_ROWS = {
  dataset: 'changes',
  layout: 'event-rows',
  files: ['events/*.csv*'],
  delimiter: ',',
  columns: ['time', 'run', 'code', 'site', 'team', 'kind', 'who'],
  time: { kind: 'microseconds', column: 'time', epoch: '2020-01-01T00:00:00Z' },
  run_id: ['run'],
  workspace: ['site'],
  tenant: ['team'],
  operation_type: ['kind'],
  initiator: ['who'],
  event: {
    column: 'code',
    queued: ['Q'],
    started: ['S'],
    ignored: ['U'],
    outcomes: { OK: 'succeeded', ERR: 'failed', STOP: 'cancelled', LOST: 'failed' },
    reconciled: ['LOST'],
  },
  heartbeats: { files: ['beats/*.csv*'], columns: ['time', 'run', 'part'], run_id: ['run'] },
};

/** One run a row, as the example of the format describes it. */
export const RUN_ROWS = {
  dataset: 'exports',
  layout: 'run-rows',
  files: ['*.csv*'],
  delimiter: ',',
  columns: ['id', 'site', 'team', 'kind', 'who', 'submitted', 'began', 'ended', 'node', 'state'],
  time: { kind: 'iso8601', assume: 'UTC' },
  run_id: ['site', 'id'],
  workspace: ['site'],
  tenant: ['team'],
  operation_type: ['kind'],
  initiator: ['who'],
  queued: 'submitted',
  started: 'began',
  completed: 'ended',
  never_started: { column: 'node', values: [''] },
  outcome: {
    column: 'state',
    cut_at: ' by ',
    map: {
      OK: 'succeeded',
      ERR: 'failed',
      STOPPED: 'cancelled',
      PART: 'partially_succeeded',
      HELD: 'blocked',
    },
  },
};

/** An event row of the usual run. */
export function row(atMicros: number, run: string, code: string, site = 'w', team = 't'): string {
  return [atMicros, run, code, site, team, 'sync', 'ann'].join(',');
}
