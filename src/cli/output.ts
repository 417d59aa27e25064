import { pipeline } from 'node:stream/promises';
import { Presets, SingleBar } from 'cli-progress';

/** Where a verb's words go: one JSON document with `--json`, else lines a person reads. */
export interface Output {
  readonly json: boolean;
  /** A line for a person; nothing with --json. */
  line(text?: string): void;
  /** A result: printed as JSON with --json, else as the lines `toLines` makes of it. */
  result<T>(value: T, toLines: (value: T) => readonly string[]): void;
  /** Progress of `total` units; a bar on a terminal, else a line now and then, on standard error. */
  progress(title: string, unit: string, total: number): Progress;
}

export interface Progress {
  /** `total` may grow when more is known. `note` is shown behind the figures. */
  update(done: number, options?: { readonly total?: number; readonly note?: string }): void;
  stop(): void;
}

const LINE_EVERY_MS = 2_000;

export function createOutput(json: boolean): Output {
  return {
    json,
    line: (text = '') => {
      if (!json) process.stdout.write(`${text}\n`);
    },
    result: (value, toLines) =>
      process.stdout.write(
        json ? `${JSON.stringify(value, bigintAsText, 2)}\n` : toLines(value).join('\n') + '\n',
      ),
    progress: (title, unit, total) =>
      process.stderr.isTTY && !json ? bar(title, unit, total) : lines(title, unit, total, json),
  };
}

/**
 * Whoever reads our output may leave before its end, as `head` does. That is no failure: what was to be told is dropped,
 * the work ends and tidies up as ever. What would go on until it is stopped takes it as being asked to stop.
 */
export function outliveReaders(): void {
  for (const stream of [process.stdout, process.stderr])
    stream.on('error', (error) => {
      if (!isReaderGone(error)) throw error;
      if (stream === process.stdout) process.emit('SIGTERM', 'SIGTERM');
    });
}

/** Writes lines at the pace of their reader, and no more of them once the reader has gone. */
export async function writeLines(lines: Iterable<string>): Promise<void> {
  try {
    await pipeline(withLineEnds(lines), process.stdout, { end: false });
  } catch (error) {
    if (!isReaderGone(error)) throw error;
  }
}

function* withLineEnds(lines: Iterable<string>): Iterable<string> {
  for (const line of lines) yield `${line}\n`;
}

function isReaderGone(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'EPIPE';
}

function bar(title: string, unit: string, total: number): Progress {
  const single = new SingleBar(
    {
      format: `${title} {bar} {percentage} % | {value}/{total} ${unit} | {rate}/s | {eta_formatted} left {note}`,
      hideCursor: true,
      stream: process.stderr,
      etaBuffer: 50,
    },
    Presets.shades_grey,
  );
  const started = Date.now();
  single.start(total, 0, { rate: '0', note: '' });
  return {
    update(done, { total: newTotal, note = '' } = {}) {
      if (newTotal !== undefined) single.setTotal(newTotal);
      single.update(done, { rate: rateOf(done, started), note });
    },
    stop: () => single.stop(),
  };
}

function lines(title: string, unit: string, initialTotal: number, quiet: boolean): Progress {
  const started = Date.now();
  let printed = started;
  let total = initialTotal;
  return {
    update(done, { total: newTotal = total, note = '' } = {}) {
      total = newTotal;
      if (quiet || Date.now() - printed < LINE_EVERY_MS) return;
      printed = Date.now();
      if (total === 0) {
        process.stderr.write(`${title} ${note}\n`);
        return;
      }
      const secondsLeft = done === 0 ? 0 : ((total - done) * (printed - started)) / done / 1000;
      process.stderr.write(
        `${title}: ${done}/${total} ${unit}, ${rateOf(done, started)}/s, about ${Math.ceil(secondsLeft)} s left ${note}\n`,
      );
    },
    stop: () => undefined,
  };
}

function rateOf(done: number, started: number): string {
  const seconds = (Date.now() - started) / 1000;
  return seconds === 0 ? '0' : Math.round(done / seconds).toLocaleString('en');
}

/** Columns of texts, as wide as their widest cell; numbers are right-aligned. */
export function table(
  head: readonly string[],
  rows: readonly (readonly (string | number | null)[])[],
): string[] {
  const texts = rows.map((row) =>
    row.map((cell) => (typeof cell === 'number' ? cell.toLocaleString('en') : (cell ?? '-'))),
  );
  const widths = head.map((title, column) =>
    Math.max(title.length, ...texts.map((row) => row[column]?.length ?? 0)),
  );
  const line = (cells: readonly string[], source: readonly (string | number | null)[] | null) =>
    cells
      .map((cell, column) =>
        typeof source?.[column] === 'number' ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!),
      )
      .join('  ')
      .trimEnd();
  return [line(head, null), ...texts.map((row, index) => line(row, rows[index]!))];
}

function bigintAsText(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value;
}
