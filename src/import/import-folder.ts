import { uuidOf } from '../commands/command-ids';
import type { Judge } from '../domain/classification';
import type { Discards } from '../commands/run-loader';
import { micros } from '../events/instant';
import type { Instant } from '../events/instant';
import type { EventStore } from '../event-store/event-store';
import { eventRowReader, heartbeatRowReader } from './event-rows';
import { ImportError } from './import-error';
import { createImportPass } from './import-pass';
import type { ImportProgress } from './import-progress';
import type { ImportTally } from './import-report';
import { mergeByTime, sortedByTime } from './in-time-order';
import type { EventRowsMapping, ImportMapping, RunRowsMapping } from './mapping';
import { originOf } from './row-fields';
import { runRowReader } from './run-rows';
import type { ImportIdentity } from './run-pass';
import { listSourceFiles } from './source-files';
import type { SourceFile } from './source-files';
import { statementsIn } from './source-rows';
import type { Intake } from './source-rows';
import type { Statement } from './statement';

export interface FolderImport {
  readonly dir: string;
  readonly mapping: ImportMapping;
  /** Later instants are left out. */
  readonly until: Instant | undefined;
  readonly store: EventStore;
  readonly judge: Judge;
  readonly discards: Discards;
  readonly tally: ImportTally;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: ImportProgress) => void;
  /** Commands decided and written together. */
  readonly chunkSize: number;
  readonly cacheWeight?: number | undefined;
  readonly sortMemoryChars?: number | undefined;
}

/**
 * Carries a folder's rows through the decider to the log, in order of time. Repeatable: what an earlier import has
 * written is found by its event id. True when it came to the end of the rows. Throws ImportError when the folder holds
 * none of the files.
 */
export async function importFolder(folder: FolderImport): Promise<boolean> {
  const { mapping, tally, signal } = folder;
  const sources = await sourcesOf(folder);
  const progress = { bytesDone: 0, commandsDone: 0, commandsTotal: null as number | null };
  const report = (phase: ImportProgress['phase']) =>
    folder.onProgress({
      phase,
      ...progress,
      bytesTotal: sources.bytes,
      rowsDone: tally.eventRows + tally.heartbeatRows,
      eventsAppended: tally.appended,
    });
  // Of what has to be sorted first nothing comes before all of it is.
  let unsorted = mapping.layout === 'run-rows' || sources.heartbeats.length > 0;
  const intake: Intake = {
    tally,
    untilMicros: folder.until === undefined ? Number.POSITIVE_INFINITY : micros(folder.until),
    onBytes: (bytes) => {
      progress.bytesDone += bytes;
      if (unsorted) report('sorting');
    },
  };
  const pass = createImportPass({
    store: folder.store,
    identity: identityOf(folder),
    onSettled: (work) => {
      tally.settled(work);
      progress.commandsDone += work.statements.length;
    },
    cacheWeight: folder.cacheWeight,
  });
  const statements = statementsOf(folder, mapping, sources, intake, (count) => {
    unsorted = false;
    if (mapping.layout === 'run-rows') progress.commandsTotal = count;
  });
  let stopped = false;
  for await (const chunk of chunksOf(statements, folder.chunkSize)) {
    stopped = signal.aborted;
    if (stopped) break;
    await pass.submit(chunk);
    report('importing');
  }
  await pass.drain();
  report('importing');
  return !stopped && !unsorted;
}

interface Sources {
  readonly files: readonly SourceFile[];
  readonly heartbeats: readonly SourceFile[];
  readonly bytes: number;
}

async function sourcesOf({ dir, mapping }: FolderImport): Promise<Sources> {
  const files = await listSourceFiles(dir, mapping.files);
  if (files.length === 0) throw new ImportError(`no file in ${dir} matches ${mapping.files.join(', ')}`);
  const beats = mapping.layout === 'event-rows' ? mapping.heartbeats : undefined;
  const heartbeats = beats ? await listSourceFiles(dir, beats.files) : [];
  const bytes = [...files, ...heartbeats].reduce((total, file) => total + file.bytes, 0);
  return { files, heartbeats, bytes };
}

function statementsOf(
  folder: FolderImport,
  mapping: EventRowsMapping | RunRowsMapping,
  { files, heartbeats }: Sources,
  intake: Intake,
  onSorted: (statements: number) => void,
): AsyncGenerator<Statement[]> {
  const { signal, sortMemoryChars: memoryChars } = folder;
  const sorting = { onSorted, signal, memoryChars };
  switch (mapping.layout) {
    case 'event-rows': {
      const events = statementsIn(files, eventRowReader(mapping), 'eventRows', intake);
      const reader = heartbeatRowReader(mapping);
      if (!reader || heartbeats.length === 0) return events;
      // Nobody promises that they are in order of time: workers beat into files of their own.
      const beats = statementsIn(heartbeats, reader.read, 'heartbeatRows', intake);
      return mergeByTime(events, sortedByTime(beats, reader.statement, sorting));
    }
    case 'run-rows': {
      const { read, statement } = runRowReader(mapping);
      return sortedByTime(statementsIn(files, read, 'eventRows', intake), statement, sorting);
    }
  }
}

function identityOf({ mapping, judge, discards }: FolderImport): ImportIdentity {
  const { dataset } = mapping;
  return {
    dataset,
    actor: originOf(dataset),
    correlationId: uuidOf('import', dataset),
    judge,
    discardedIn: discards.in,
    rowsAreRuns: mapping.layout === 'run-rows',
  };
}

async function* chunksOf(batches: AsyncGenerator<Statement[]>, size: number): AsyncGenerator<Statement[]> {
  let chunk: Statement[] = [];
  for await (const batch of batches)
    for (const statement of batch) {
      chunk.push(statement);
      if (chunk.length < size) continue;
      yield chunk;
      chunk = [];
    }
  if (chunk.length > 0) yield chunk;
}
