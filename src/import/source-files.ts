import type { Dirent } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { MAPPING_FILE } from './mapping';

export interface SourceFile {
  /** Relative to the folder, with `/`: what rejects and the report call the file. */
  readonly name: string;
  readonly path: string;
  /** As stored, compressed or not. */
  readonly bytes: number;
}

/**
 * The files that any of the globs matches, each once, in name order. A glob's parts take `*`, `?` and `[...]` within
 * one name and `**` for any folders; a leading dot must be written out, so that `._copies` of archives stay away.
 */
export async function listSourceFiles(dir: string, globs: readonly string[]): Promise<SourceFile[]> {
  const names = new Set<string>();
  for (const glob of globs) await expand(dir, '', glob.split('/').filter(isNamed), names);
  names.delete(MAPPING_FILE);
  const files: SourceFile[] = [];
  for (const name of [...names].sort(byCodeUnits)) {
    const path = join(dir, name);
    files.push({ name, path, bytes: (await stat(path)).size });
  }
  return files;
}

function isNamed(part: string): boolean {
  return part !== '' && part !== '.';
}

/** The same order on every machine, whatever its locale. */
function byCodeUnits(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

async function expand(dir: string, at: string, parts: readonly string[], found: Set<string>): Promise<void> {
  const [part, ...rest] = parts;
  if (part === undefined) return;
  const entries = await entriesOf(join(dir, at));
  if (part === '**') {
    await expand(dir, at, rest, found);
    // Links to folders are not followed here: they may lead back up.
    for (const entry of entries)
      if (entry.isDirectory() && !entry.name.startsWith('.'))
        await expand(dir, inside(at, entry.name), parts, found);
    return;
  }
  const matches = matcherOf(part);
  for (const entry of entries) {
    if (!matches(entry.name)) continue;
    const name = inside(at, entry.name);
    if (rest.length > 0) await expand(dir, name, rest, found);
    else if (await isFile(entry, join(dir, name))) found.add(name);
  }
}

function inside(folder: string, name: string): string {
  return folder === '' ? name : `${folder}/${name}`;
}

async function entriesOf(path: string): Promise<Dirent[]> {
  try {
    return await readdir(path, { withFileTypes: true });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOTDIR' || code === 'ENOENT') return [];
    throw error;
  }
}

async function isFile(entry: Dirent, path: string): Promise<boolean> {
  if (!entry.isSymbolicLink()) return entry.isFile();
  return stat(path).then(
    (target) => target.isFile(),
    () => false,
  );
}

function matcherOf(part: string): (name: string) => boolean {
  let pattern = '';
  for (let at = 0; at < part.length; at++) {
    const letter = part[at]!;
    const closing = letter === '[' ? part.indexOf(']', at + 2) : -1;
    if (letter === '*') pattern += '.*';
    else if (letter === '?') pattern += '.';
    else if (closing > 0) {
      const set = part.slice(at + 1, closing).replace(/[\\\]]/g, '\\$&');
      pattern += `[${set.replace(/^!/, '^')}]`;
      at = closing;
    } else pattern += letter.replace(/[.+^${}()|[\]\\]/g, '\\$&');
  }
  const regex = new RegExp(`^${pattern}$`, 'su');
  return (name) => (part.startsWith('.') || !name.startsWith('.')) && regex.test(name);
}
