import { createExternalSort } from './external-sort';
import type { SortedRowReader, SourceRow, Statement } from './statement';

/** Two sources that are each in order of time, as one. `first` comes first at equal times. */
export async function* mergeByTime(
  first: AsyncGenerator<Statement[]>,
  second: AsyncGenerator<Statement[]>,
): AsyncGenerator<Statement[]> {
  try {
    let a = await batchOf(first);
    let b = await batchOf(second);
    while (a.length > 0 && b.length > 0) {
      const merged: Statement[] = [];
      let inA = 0;
      let inB = 0;
      while (inA < a.length && inB < b.length)
        merged.push(a[inA]!.dueMicros <= b[inB]!.dueMicros ? a[inA++]! : b[inB++]!);
      yield merged;
      a = inA < a.length ? a.slice(inA) : await batchOf(first);
      b = inB < b.length ? b.slice(inB) : await batchOf(second);
    }
    if (a.length > 0) yield a;
    if (b.length > 0) yield b;
    yield* first;
    yield* second;
  } finally {
    // Whoever stops half way leaves files open in both.
    await Promise.all([first.return(undefined), second.return(undefined)]);
  }
}

async function batchOf(source: AsyncGenerator<Statement[]>): Promise<Statement[]> {
  const next = await source.next();
  return next.done ? [] : next.value;
}

export interface SortOptions {
  /** Told how many statements there are, once all are sorted. */
  readonly onSorted: (statements: number) => void;
  readonly signal: AbortSignal;
  readonly memoryChars?: number | undefined;
}

/** Statements of any order, in order of time; at equal times as they came. None at all when aborted while sorting. */
export async function* sortedByTime(
  statements: AsyncGenerator<Statement[]>,
  restored: SortedRowReader['statement'],
  { onSorted, signal, memoryChars }: SortOptions,
): AsyncGenerator<Statement[]> {
  const sort = createExternalSort(memoryChars === undefined ? {} : { memoryChars });
  const files: string[] = [];
  const fileNumbers = new Map<string, number>();
  try {
    let count = 0;
    for await (const batch of statements) {
      if (signal.aborted) return;
      for (const { dueMicros, command, row } of batch) {
        let number = fileNumbers.get(row.file);
        if (number === undefined) {
          number = files.push(row.file) - 1;
          fileNumbers.set(row.file, number);
        }
        await sort.add(dueMicros, `${command.kind}\t${number}\t${row.line}\t${row.text}`);
        count++;
      }
    }
    onSorted(count);
    // What is sorted is the row and which of its statements is meant: to read it again is cheaper than to write it out.
    for await (const batch of sort.sorted())
      yield batch.map(({ key, text }) => {
        const [kind, file, line] = text.split('\t', 3) as [string, string, string];
        const start = kind.length + file.length + line.length + 3;
        const row: SourceRow = { file: files[Number(file)]!, line: Number(line), text: text.slice(start) };
        return restored(row, kind, key);
      });
  } finally {
    await sort.dispose();
  }
}
