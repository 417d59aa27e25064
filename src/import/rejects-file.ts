import { closeSync, openSync, writeSync } from 'node:fs';
import { ImportError } from './import-error';

/** What could not be imported, and why. `line` and `row` are null where a whole file is meant. */
export interface Reject {
  readonly file: string;
  readonly line: number | null;
  readonly reason: string;
  readonly row: string | null;
}

export interface RejectsFile {
  add(reject: Reject): void;
  /** Writes what is still held back. Returns the path, or null when nothing was rejected and no file was made. */
  close(): string | null;
}

const HELD_BACK_CHARS = 64 * 1024;
const MAX_ROW_CHARS = 4000;

/**
 * Rejects as NDJSON, in a file that is made (anew) at the first of them. Written synchronously: a source of nothing
 * but rejects must not pile up in memory. Throws ImportError when the file cannot be made.
 */
export function createRejectsFile(path: string): RejectsFile {
  let descriptor: number | null = null;
  let held: string[] = [];
  let heldChars = 0;

  const flush = () => {
    if (descriptor !== null && held.length > 0) writeSync(descriptor, held.join(''));
    held = [];
    heldChars = 0;
  };

  return {
    add: ({ file, line, reason, row }) => {
      descriptor ??= open(path);
      const text = `${JSON.stringify({ file, line, reason, row: row?.slice(0, MAX_ROW_CHARS) ?? null })}\n`;
      held.push(text);
      heldChars += text.length;
      if (heldChars >= HELD_BACK_CHARS) flush();
    },
    close: () => {
      if (descriptor === null) return null;
      flush();
      closeSync(descriptor);
      descriptor = null;
      return path;
    },
  };
}

function open(path: string): number {
  try {
    return openSync(path, 'w');
  } catch (cause) {
    throw new ImportError(`cannot write the rejects to ${path}; name another file for them`, { cause });
  }
}
