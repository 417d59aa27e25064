import { randomBytes } from 'node:crypto';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeHome } from '../embedded-postgres/places';
import { isErrno } from '../embedded-postgres/file-lock';

/** The secret that the demo signs with: made once per home, readable by its owner only. Never a default. Throws ConfigError. */
export async function demoSecret(home: string): Promise<string> {
  const kept = await keptSecret(home);
  if (kept !== null) return kept;
  const secret = randomBytes(32).toString('hex');
  await makeHome(home);
  // `wx`: of two demos starting at once the second reads the first one's.
  await writeFile(pathOf(home), `${secret}\n`, { mode: 0o600, flag: 'wx' }).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    },
  );
  await chmod(pathOf(home), 0o600);
  return (await keptSecret(home)) ?? secret;
}

export async function keptSecret(home: string): Promise<string | null> {
  try {
    return (await readFile(pathOf(home), 'utf8')).trim();
  } catch (error) {
    if (isErrno(error, 'ENOENT') || isErrno(error, 'ENOTDIR')) return null;
    throw error;
  }
}

function pathOf(home: string): string {
  return join(home, 'jwt-secret');
}
