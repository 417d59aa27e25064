import { isUtf8 } from 'node:buffer';
import { createReadStream } from 'node:fs';
import { createGunzip } from 'node:zlib';
import type { Gunzip } from 'node:zlib';

export interface Line {
  /** From 1. */
  readonly line: number;
  readonly text: string;
  /** Why `text` is not what the line says; null where it is. Of a line that is too long it is the beginning. */
  readonly flaw: string | null;
}

/** A file that cannot be read (any further). What could be read before has been yielded. */
export class BrokenFileError extends Error {
  override readonly name = 'BrokenFileError';
  constructor(
    /** The line that was being read. */
    readonly line: number,
    /** What there is of that line. */
    readonly rest: string,
    override readonly cause: Error,
  ) {
    super(`broken at line ${line}: ${cause.message}`);
  }
}

const READ_BYTES = 32 * 1024;
const UNZIP_BYTES = 64 * 1024;
/** Longer lines are cut here, so that a file without line breaks costs no more memory than this. */
export const MAX_LINE_BYTES = 1024 * 1024;

const NEWLINE = 10;
const RETURN = 13;
const BYTE_ORDER_MARK = '\uFEFF';

export function contentOf(path: string): AsyncIterable<Buffer> {
  // The stream has no encoding, so its chunks are buffers.
  return createReadStream(path, { highWaterMark: READ_BYTES }) as AsyncIterable<Buffer>;
}

/**
 * The lines of a file or stream in batches, decompressed when it is gzip by its content. Line ends are LF or CRLF;
 * empty lines are left out but numbered. `onBytes` is told of the bytes read, as stored. Throws BrokenFileError after
 * the last whole line when the content ends too soon or cannot be read.
 */
export async function* readLines(
  content: AsyncIterable<Buffer>,
  onBytes?: (bytes: number) => void,
  maxLineBytes = MAX_LINE_BYTES,
): AsyncGenerator<Line[]> {
  let number = 1;
  let carried: Buffer[] = [];
  let carriedBytes = 0;

  const take = (part: Buffer) => {
    if (carriedBytes < maxLineBytes) carried.push(part.subarray(0, maxLineBytes - carriedBytes));
    carriedBytes += part.length;
  };
  const finish = (): Line => {
    const bytes = carried.length === 1 ? carried[0]! : Buffer.concat(carried);
    const text = textOf(bytes);
    const flaw = carriedBytes > maxLineBytes ? `longer than ${maxLineBytes} bytes` : flawOf(text, bytes);
    carried = [];
    carriedBytes = 0;
    const marked = number === 1 && text.startsWith(BYTE_ORDER_MARK);
    return { line: number, text: marked ? text.slice(1) : text, flaw };
  };

  try {
    for await (const chunk of unzipped(content, onBytes)) {
      const lines: Line[] = [];
      let start = 0;
      for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
        take(chunk.subarray(start, end));
        const line = finish();
        if (line.text !== '') lines.push(line);
        number++;
        start = end + 1;
      }
      // A copy: the chunk would stay in memory for the sake of its last few bytes.
      if (start < chunk.length) take(Buffer.from(chunk.subarray(start)));
      if (lines.length > 0) yield lines;
    }
  } catch (error) {
    // Half a line is no row, even where it happens to have enough columns.
    throw new BrokenFileError(number, finish().text, error as Error);
  }
  const last = finish();
  if (last.text !== '') yield [last];
}

/** Two ids that are no UTF-8 would be one text. The character that stands for what cannot be read is a rare one. */
function flawOf(text: string, bytes: Buffer): string | null {
  return text.includes('\uFFFD') && !isUtf8(bytes) ? 'not in UTF-8' : null;
}

function textOf(bytes: Buffer): string {
  const end = bytes.at(-1) === RETURN ? bytes.length - 1 : bytes.length;
  return bytes.toString('utf8', 0, end);
}

async function* unzipped(
  content: AsyncIterable<Buffer>,
  onBytes?: (bytes: number) => void,
): AsyncGenerator<Buffer> {
  let gunzip: Gunzip | undefined;
  let unzip: AsyncUnzip | undefined;
  let first = true;
  try {
    for await (const chunk of content) {
      onBytes?.(chunk.length);
      if (first && chunk[0] === 0x1f && chunk[1] === 0x8b) {
        gunzip = createGunzip({ chunkSize: UNZIP_BYTES });
        unzip = unzipWith(gunzip);
      }
      if (unzip) yield* unzip(chunk);
      else yield chunk;
      first = false;
    }
    if (unzip) yield* unzip(null);
  } finally {
    gunzip?.destroy();
  }
}

type AsyncUnzip = (chunk: Buffer | null) => AsyncGenerator<Buffer>;

/**
 * Decompresses chunk by chunk (null ends the input) and yields all that a chunk gives before it throws. Piping would
 * drop what the decompressor had already put out when a file turns out to be cut short.
 */
function unzipWith(gunzip: Gunzip): AsyncUnzip {
  let ready: Buffer[] = [];
  let failure: Error | undefined;
  // Bytes that follow the last gzip member end the output early; they are not part of the file's content.
  let ended = false;
  let goOn = () => {};
  gunzip.on('data', (part: Buffer) => ready.push(part));
  gunzip.on('error', (error) => {
    failure = error;
    goOn();
  });
  gunzip.on('end', () => {
    ended = true;
    goOn();
  });
  return async function* (chunk) {
    await new Promise<void>((resolve) => {
      goOn = resolve;
      if (failure || ended) resolve();
      else if (chunk) gunzip.write(chunk, () => resolve());
      else gunzip.end();
    });
    yield* ready;
    ready = [];
    if (failure) throw failure;
  };
}
