import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { contentOf, MAX_LINE_BYTES, readLines } from './file-lines';

export interface KeyedText {
  readonly key: number;
  /** Without line breaks, and hardly longer than a line of a source. */
  readonly text: string;
}

/** Sorts more texts than fit into memory. Equal keys keep the order in which they were added. */
export interface ExternalSort {
  add(key: number, text: string): Promise<void>;
  /** Everything added, in order, in batches. To be called once. */
  sorted(): AsyncGenerator<KeyedText[]>;
  /** Removes the temporary files. Idempotent. */
  dispose(): Promise<void>;
}

/** Characters held in memory before they go to a file. */
const DEFAULT_MEMORY_CHARS = 8 * 1024 * 1024;
/** Files merged at once: each holds a descriptor, of which some systems give a process 256. */
const MAX_FAN_IN = 64;
const BATCH_SIZE = 2_000;
const MAX_RECORD_BYTES = MAX_LINE_BYTES + 1024;

/**
 * Sorted runs in temporary files, merged on reading; all in memory when that is enough. Not PostgreSQL: a transaction
 * that stages for minutes holds back every reader of the log, and the log may be in another store.
 */
export function createExternalSort({ memoryChars = DEFAULT_MEMORY_CHARS } = {}): ExternalSort {
  let folder: string | null = null;
  let filesMade = 0;
  /** Runs by how often their records have been merged. All runs of a level are older than those of the level before. */
  const levels: string[][] = [];
  let held: KeyedText[] = [];
  let heldChars = 0;

  const writeRun = async (level: number, batches: AsyncIterable<KeyedText[]>): Promise<void> => {
    folder ??= await mkdtemp(join(tmpdir(), 'opstruth-import-'));
    const path = join(folder, `${++filesMade}.run`);
    await writeBatches(path, batches);
    const runs = (levels[level] ??= []);
    runs.push(path);
    if (runs.length < MAX_FAN_IN) return;
    levels[level] = [];
    await writeRun(level + 1, merge(runs.map(readRun)));
    for (const merged of runs) await rm(merged);
  };

  return {
    add: async (key, text) => {
      held.push({ key, text });
      heldChars += text.length;
      if (heldChars < memoryChars) return;
      await writeRun(0, inMemory(inOrder(held)));
      held = [];
      heldChars = 0;
    },
    sorted: () => merge([...levels.toReversed().flat().map(readRun), inMemory(inOrder(held))]),
    dispose: async () => {
      if (folder !== null) await rm(folder, { recursive: true, force: true });
    },
  };
}

/** `sort` is stable, which is what keeps ties in order. */
function inOrder(records: KeyedText[]): KeyedText[] {
  return records.sort((a, b) => a.key - b.key);
}

async function writeBatches(path: string, batches: AsyncIterable<KeyedText[]>): Promise<void> {
  const file = await open(path, 'w');
  try {
    for await (const batch of batches)
      // The closing mark keeps a carriage return at the end of the text.
      await file.appendFile(batch.map(({ key, text }) => `${key}\t${text};\n`).join(''));
  } finally {
    await file.close();
  }
}

async function* readRun(path: string): AsyncGenerator<KeyedText[]> {
  for await (const lines of readLines(contentOf(path), undefined, MAX_RECORD_BYTES))
    yield lines.map(({ text }) => {
      const tab = text.indexOf('\t');
      return { key: Number(text.slice(0, tab)), text: text.slice(tab + 1, -1) };
    });
}

async function* inMemory(records: readonly KeyedText[]): AsyncGenerator<KeyedText[]> {
  for (let at = 0; at < records.length; at += BATCH_SIZE)
    yield await Promise.resolve(records.slice(at, at + BATCH_SIZE));
}

interface Head {
  readonly source: AsyncGenerator<KeyedText[]>;
  /** Which run it is: an earlier run's records were added before a later one's. */
  readonly order: number;
  batch: KeyedText[];
  at: number;
}

async function* merge(sources: readonly AsyncGenerator<KeyedText[]>[]): AsyncGenerator<KeyedText[]> {
  try {
    const heads: Head[] = [];
    for (const [order, source] of sources.entries()) {
      const head: Head = { source, order, batch: [], at: 0 };
      if (await refill(head)) heads.push(head);
    }
    heads.sort(byKey);
    let merged: KeyedText[] = [];
    for (let first = heads[0]; first !== undefined; first = heads[0]) {
      merged.push(first.batch[first.at++]!);
      if (merged.length === BATCH_SIZE) {
        yield merged;
        merged = [];
      }
      if (first.at === first.batch.length && !(await refill(first))) heads.shift();
      else settleFirst(heads);
    }
    if (merged.length > 0) yield merged;
  } finally {
    // Whoever stops half way leaves files open.
    for (const source of sources) await source.return(undefined);
  }
}

/** Moves the first head to its place among the few that are merged at once. */
function settleFirst(heads: Head[]): void {
  for (let at = 0; at + 1 < heads.length && byKey(heads[at]!, heads[at + 1]!) > 0; at++)
    [heads[at], heads[at + 1]] = [heads[at + 1]!, heads[at]!];
}

function byKey(a: Head, b: Head): number {
  return a.batch[a.at]!.key - b.batch[b.at]!.key || a.order - b.order;
}

async function refill(head: Head): Promise<boolean> {
  const next = await head.source.next();
  head.batch = next.done ? [] : next.value;
  head.at = 0;
  return head.batch.length > 0;
}
