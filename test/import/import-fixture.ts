import { readFileSync } from 'node:fs';
import type { Pool } from 'pg';
import { judgeWith } from '../../src/classifier/classifier';
import { defaultPolicy } from '../../src/classifier/policy';
import { decide } from '../../src/domain/decider';
import type { RunCommand } from '../../src/domain/decider';
import { evolve } from '../../src/domain/run-facts';
import type { RunFacts } from '../../src/domain/run-facts';
import type { EventStore } from '../../src/event-store/event-store';
import { createPostgresEventStore } from '../../src/event-store/postgres-event-store';
import { streamOf } from '../../src/events/operation-run-events';
import { parseEvent } from '../../src/events/parse-event';
import { uuidOf } from '../../src/commands/command-ids';
import type { ImportReport } from '../../src/import/import-report';
import { runImport } from '../../src/import/run-import';
import type { ImportOptions } from '../../src/import/run-import';
import { createTestDatabase } from '../support/database';
import { sourceFolder } from './source-folder';
import type { SourceFolder } from './source-folder';

export const judge = judgeWith(1, { version: 1, policy: defaultPolicy() });

export interface ImportFixture {
  readonly store: EventStore;
  readonly pool: Pool;
  /** A folder of one's own, removed at the end. */
  folder(): SourceFolder;
  import(folder: SourceFolder, options?: Partial<ImportOptions>): Promise<ImportReport>;
  /** Appends what a command of somebody else comes to. */
  others(runId: string, command: RunCommand): Promise<void>;
  factsOf(runId: string): Promise<RunFacts>;
  /** `run: type@time` for every event, in the order of the log. */
  log(): Promise<string[]>;
  /** Every event with its id and content, run by run. */
  streams(): Promise<StoredRow[]>;
  /** Empties the log. */
  clear(): Promise<void>;
  close(): Promise<void>;
}

export interface StoredRow {
  readonly run: string;
  readonly revision: number;
  readonly id: string;
  readonly type: string;
  readonly data: { readonly occurredAt: string };
}

export async function importFixture(): Promise<ImportFixture> {
  const database = await createTestDatabase({ max: 4 });
  const { pool } = database;
  const store = createPostgresEventStore({
    pool,
    onError: (error) => {
      throw error;
    },
  });
  const folders: SourceFolder[] = [];
  let others = 0;
  const eventsOf = async (runId: string) =>
    (await store.readStream(streamOf(runId))).map((event) => parseEvent(event));

  // Read past the store: its readers stay behind whatever transaction the other test files have open.
  const stored = async () => {
    const { rows } = await pool.query<StoredRow>(
      `select substr(stream_id, 15) as run, revision, event_id as id, type, data from opstruth.events
       order by commit_xid, position`,
    );
    return rows;
  };

  return {
    store,
    pool,
    folder: () => {
      const folder = sourceFolder();
      folders.push(folder);
      return folder;
    },
    import: (folder, options = {}) =>
      // The options that tell folders from lines are not among those that tests replace.
      runImport({
        dir: folder.path,
        store,
        judge,
        rejectsPath: folder.rejectsPath,
        ...options,
      }),
    others: async (runId, command) => {
      let facts: RunFacts | null = null;
      for (const event of await eventsOf(runId)) facts = evolve(facts, event);
      const decision = decide(facts, command, judge);
      if (!decision.accepted) throw new Error(decision.rejection.message);
      const id = uuidOf('others', String(++others));
      const metadata = {
        actor: 'others',
        plane: 'worker',
        commandId: id,
        correlationId: id,
        causationId: id,
      } as const;
      const events = decision.events.map((event) => ({ ...event, eventId: id, metadata }));
      const expectedRevision = facts ? facts.version - 1 : 'no_stream';
      const result = await store.append({ streamId: streamOf(runId), expectedRevision, events });
      if (result.kind === 'conflict') throw new Error(`others were overtaken on ${runId}`);
    },
    factsOf: async (runId) => {
      let facts: RunFacts | null = null;
      for (const event of await eventsOf(runId)) facts = evolve(facts, event);
      if (!facts) throw new Error(`no run ${runId}`);
      return facts;
    },
    log: async () =>
      (await stored()).map(({ run, type, data }) => `${run}: ${type.slice(12)}@${data.occurredAt}`),
    streams: async () =>
      (await stored()).sort((a, b) => (a.run < b.run ? -1 : a.run > b.run ? 1 : a.revision - b.revision)),
    clear: async () => {
      await pool.query('truncate opstruth.events');
    },
    close: async () => {
      for (const folder of folders) folder.remove();
      await store.close();
      await database.close();
    },
  };
}

export function rejectsIn(folder: SourceFolder): unknown[] {
  return readFileSync(folder.rejectsPath, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);
}

/** Microseconds after 2020-01-01, as the log writes them. */
export function at(micros: number): string {
  const text = new Date(Date.UTC(2020, 0, 1) + Math.floor(micros / 1000)).toISOString();
  const rest = micros % 1000;
  return rest === 0 ? text : text.replace('Z', `${String(rest).padStart(3, '0')}Z`);
}
