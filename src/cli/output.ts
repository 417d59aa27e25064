import { pipeline } from 'node:stream/promises';
import { Format, Presets, SingleBar } from 'cli-progress';

/** Where a verb's words go: one JSON document with `--json`, else lines a person reads. */
export interface Output {
  readonly json: boolean;
  /** A line for a person; nothing with --json. */
  line(text?: string): void;
  /** A result: printed as JSON with --json, else as the lines `toLines` makes of it. */
  result<T>(value: T, toLines: (value: T) => readonly string[]): void;
  /**
   * Progress of `total` units (0: not known); a bar on a terminal, else a line now and then, on standard error. Nothing
   * with --json.
   */
  progress(title: string, unit: string, total: number): Progress;
}

export interface Progress {
  /** `total` may grow when more is known. `note` is shown behind the figures. */
  update(done: number, options?: { readonly total?: number; readonly note?: string }): void;
  stop(): void;
}

const LINE_EVERY_MS = 2_000;
/** A rate over less than this says little of what is to come. */
const MEASURED_AFTER_MS = 1_000;

type ErrorStream = Pick<NodeJS.WriteStream, 'write' | 'isTTY'> & NodeJS.WritableStream;

export function createOutput(json: boolean, stderr: ErrorStream = process.stderr): Output {
  return {
    json,
    line: (text = '') => {
      if (!json) process.stdout.write(`${printable(text)}\n`);
    },
    result: (value, toLines) =>
      process.stdout.write(
        json
          ? `${JSON.stringify(value, bigintAsText, 2)}\n`
          : toLines(value).map(printable).join('\n') + '\n',
      ),
    progress: (title, unit, total) => {
      if (json) return { update: () => undefined, stop: () => undefined };
      return stderr.isTTY ? bar(stderr, title, unit, total) : lines(stderr, title, unit, total);
    },
  };
}

/** How an error is told, always on standard error: its words, with --json as one line together with `facts` of it. */
export function errorText(json: boolean, words: string, facts: object = {}): string {
  const told = json
    ? JSON.stringify({ error: words, ...facts })
    : words.split('\n').map(printable).join('\n');
  return `${told}\n`;
}

/** Control characters, and those that turn the direction of what follows. */
// oxlint-disable-next-line no-control-regex
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** A line in which words of others, such as ids and reasons, neither steer the terminal nor pass for further lines. */
export function printable(line: string): string {
  return line.replace(UNPRINTABLE, (character) => {
    if (character === '\n') return '\\n';
    return character === '\t' ? '\\t' : `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
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

function bar(stream: NodeJS.WritableStream, title: string, unit: string, initialTotal: number): Progress {
  const started = Date.now();
  let shown: Shown = { title, unit, done: 0, total: initialTotal, note: '', started };
  const single = new SingleBar(
    {
      // Without a total there is no part of it: a bar would be full from the beginning.
      format: (options, { progress }) =>
        shown.total > 0
          ? `${title} ${Format.BarFormat(progress, options)} ${Math.floor(progress * 100)} % | ${progressText(shown, ' | ')}`
          : lineOf(shown),
      hideCursor: true,
      stream,
    },
    Presets.shades_grey,
  );
  single.start(initialTotal, 0);
  return {
    update(done, { total = shown.total, note = '' } = {}) {
      shown = { ...shown, done, total, note };
      single.setTotal(total);
      single.update(done);
    },
    stop: () => single.stop(),
  };
}

function lines(stream: NodeJS.WritableStream, title: string, unit: string, initialTotal: number): Progress {
  const started = Date.now();
  let printed = started;
  let total = initialTotal;
  return {
    update(done, { total: newTotal = total, note = '' } = {}) {
      total = newTotal;
      if (Date.now() - printed < LINE_EVERY_MS) return;
      printed = Date.now();
      stream.write(`${lineOf({ title, unit, done, total, note, started })}\n`);
    },
    stop: () => undefined,
  };
}

interface Shown {
  readonly title: string;
  readonly unit: string;
  readonly done: number;
  /** 0 where it is not known, or where there is nothing to count. */
  readonly total: number;
  readonly note: string;
  readonly started: number;
}

function lineOf(shown: Shown): string {
  const text = progressText(shown, ', ');
  if (shown.total > 0 || shown.done > 0) return `${shown.title}: ${text}`;
  return text === '' ? shown.title : `${shown.title} ${text}`;
}

/** What is done of how much, and how fast and how much longer once that can be told. */
function progressText({ unit, done, total, note, started }: Shown, separator: string): string {
  const elapsed = Date.now() - started;
  const measured = done > 0 && elapsed >= MEASURED_AFTER_MS;
  const parts = [
    ...(total > 0 ? [`${done}/${total} ${unit}`] : done > 0 ? [`${done} ${unit}`] : []),
    ...(measured ? [`${Math.round((done * 1000) / elapsed).toLocaleString('en')}/s`] : []),
    ...(measured && total > 0
      ? [`about ${durationText(((total - done) * elapsed) / done / 1000)} left`]
      : []),
  ];
  return [parts.join(separator), note].filter((part) => part !== '').join(' ');
}

function durationText(seconds: number): string {
  const whole = Math.max(0, Math.ceil(seconds));
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  return minutes < 60
    ? `${minutes} min ${whole % 60} s`
    : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Columns of texts, as wide as their widest cell; numbers are right-aligned. */
export function table(
  head: readonly string[],
  rows: readonly (readonly (string | number | null)[])[],
): string[] {
  const texts = rows.map((row) =>
    row.map((cell) => (typeof cell === 'number' ? cell.toLocaleString('en') : printable(cell ?? '-'))),
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
