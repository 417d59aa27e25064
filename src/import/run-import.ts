import { basename } from 'node:path';
import type { Readable } from 'node:stream';
import type { Judge } from '../domain/classification';
import { NO_DISCARDS } from '../commands/run-loader';
import type { Discards } from '../commands/run-loader';
import { systemClock } from '../events/instant';
import type { Clock, Instant } from '../events/instant';
import type { EventStore } from '../event-store/event-store';
import { importFolder } from './import-folder';
import { importNdjson } from './import-ndjson';
import type { ImportProgress } from './import-progress';
import { ImportTally } from './import-report';
import type { ImportReport } from './import-report';
import { readMapping } from './mapping';
import { createRejectsFile } from './rejects-file';

interface CommonOptions {
  readonly store: EventStore;
  /** The verdicts of the policy in force: reconciliations of a trace keep its thresholds as evidence. */
  readonly judge: Judge;
  /** (Default: nothing is discarded) */
  readonly discards?: Discards;
  /** Stops between two chunks; the report then says `interrupted`. */
  readonly signal?: AbortSignal;
  /** Called after every chunk, and while run-rows are sorted at every read: up to some hundred times a second. */
  readonly onProgress?: (progress: ImportProgress) => void;
  /** Where rejects go. (Default: `<dataset>.rejects.ndjson` in the working directory) */
  readonly rejectsPath?: string;
  readonly clock?: Clock;
  /** Commands decided and written together. (Default: 2000) */
  readonly chunkSize?: number;
}

export type ImportOptions = CommonOptions &
  (
    | {
        /** A folder with raw files and a mapping.json. */
        readonly dir: string;
        /** Later instants are left out, to the microsecond. */
        readonly until?: Instant;
        /** Stored events' worth of runs kept in memory. */
        readonly cacheWeight?: number;
        /** Characters of run-rows sorted in memory; the rest goes through temporary files. */
        readonly sortMemoryChars?: number;
      }
    | {
        /** A file of one command a line, or `-` for `input`. */
        readonly ndjson: string;
        /** (Default: standard input) */
        readonly input?: Readable;
      }
  );

const CHUNK_SIZE = 2_000;

/**
 * Imports a folder of raw rows or a file of commands. The same import again adds nothing, and one that was stopped or
 * failed goes on where it was. Throws ImportError when it cannot begin, and what the store throws.
 */
export async function runImport(options: ImportOptions): Promise<ImportReport> {
  const begun = performance.now();
  const mapping = 'dir' in options ? await readMapping(options.dir) : null;
  const dataset = mapping?.dataset ?? ('ndjson' in options ? nameOf(options.ndjson) : '');
  const rejects = createRejectsFile(options.rejectsPath ?? `${fileNameOf(dataset)}.rejects.ndjson`);
  const tally = new ImportTally(rejects);
  const signal = options.signal ?? new AbortController().signal;
  const onProgress = options.onProgress ?? (() => undefined);
  const { store, judge, discards = NO_DISCARDS, chunkSize = CHUNK_SIZE, clock = systemClock } = options;
  const shared = { store, judge, discards, tally, signal, onProgress, chunkSize };

  let finished = false;
  let rejectsFile: string | null;
  try {
    if ('ndjson' in options) {
      const { ndjson, input = process.stdin } = options;
      finished = await importNdjson({ ...shared, ndjson, input, dataset, clock });
    } else if (mapping) {
      const { dir, until, cacheWeight, sortMemoryChars } = options;
      finished = await importFolder({ ...shared, dir, mapping, until, cacheWeight, sortMemoryChars });
    }
  } finally {
    rejectsFile = rejects.close();
  }
  const seconds = (performance.now() - begun) / 1000;
  return tally.report({ dataset, seconds, rejectsFile, interrupted: !finished });
}

function nameOf(ndjson: string): string {
  return ndjson === '-' ? 'stdin' : basename(ndjson).replace(/(\.(ndjson|jsonl))?(\.gz)?$/, '');
}

/** A dataset may be named with characters that no file name takes. */
function fileNameOf(dataset: string): string {
  return dataset.replace(/[^\p{L}\p{N}._-]/gu, '_').replace(/^\.+/, '_');
}
