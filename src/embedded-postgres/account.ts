import { execFile } from 'node:child_process';
import { chmod, lstat, mkdir, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, parse } from 'node:path';
import { promisify } from 'node:util';
import { isErrno } from './file-lock';

/** Why a PostgreSQL of our own could not be made, started or stopped, and what to do about it. */
export class EmbeddedPostgresError extends Error {
  override readonly name = 'EmbeddedPostgresError';
}

/** The account the server runs under when this process is root, which PostgreSQL refuses; null = our own account. */
export type ServerAccount = { readonly uid: number; readonly gid: number } | null;

const exec = promisify(execFile);

/** The account for a data folder: that of its owner, else `postgres`, which is created when there is none. */
export async function serverAccount(dataDir: string): Promise<ServerAccount> {
  if (process.getuid?.() !== 0) return null;
  const owner = await stat(dataDir).catch(() => undefined);
  if (owner && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid };
  const id = async (flag: string) => Number((await exec('id', [flag, 'postgres'])).stdout);
  const known = await id('-u').catch(() => undefined);
  if (known === undefined) {
    try {
      await exec('useradd', ['--system', '--user-group', '--no-create-home', 'postgres']);
    } catch (error) {
      throw new EmbeddedPostgresError(
        'PostgreSQL does not run as root and the user "postgres" could not be created: create it, run opstruth as another user, or set DATABASE_URL',
        { cause: error },
      );
    }
  }
  return { uid: await id('-u'), gid: await id('-g') };
}

/** The nearest folder on the way to `path` that the server's account may not enter; undefined when it can reach it. */
export async function closedFolder(path: string, account: ServerAccount): Promise<string | undefined> {
  if (account === null) return undefined;
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    const { uid, gid, mode } = await stat(folder);
    const bit = uid === account.uid ? 0o100 : gid === account.gid ? 0o010 : 0o001;
    if ((mode & bit) === 0) return folder;
    if (folder === parse(folder).root) return undefined;
  }
}

/** Throws, naming the folder, when the server's account cannot reach `path`. */
export async function assertReachable(path: string, account: ServerAccount): Promise<void> {
  const folder = await closedFolder(path, account);
  if (folder === undefined || account === null) return;
  throw new EmbeddedPostgresError(
    `the embedded PostgreSQL runs as uid ${account.uid}, because it refuses to run as root, and that user may not enter ${folder} on the way to ${path}: run "chmod o+x ${folder}", choose another OPSTRUTH_HOME, or set DATABASE_URL`,
  );
}

/**
 * A folder that belongs to root and that everybody may enter, for what the server's account cannot reach at its usual
 * place: `/var/lib/opstruth`, else one in the folder for temporary files. Made when absent.
 */
export async function outsideFolder(
  account: ServerAccount,
  parents: readonly string[] = ['/var/lib', tmpdir()],
): Promise<string> {
  const refusals: string[] = [];
  for (const parent of parents) {
    const folder = join(parent, 'opstruth');
    try {
      await makeOpenFolder(folder);
      await assertReachable(join(folder, 'any'), account);
      return folder;
    } catch (error) {
      refusals.push(error instanceof Error ? error.message : String(error));
    }
  }
  throw new EmbeddedPostgresError(
    `no folder for the embedded PostgreSQL, which does not run as root, outside of folders closed to its account: ${refusals.join('; ')}. Choose another OPSTRUTH_HOME, run opstruth as another user, or set DATABASE_URL`,
  );
}

/** Makes a folder of root that everybody may enter, whatever the umask says. */
export async function makeOpenFolder(folder: string): Promise<void> {
  let mode = 0o755;
  try {
    await mkdir(folder);
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw error;
    mode = ((await lstat(folder)).mode & 0o777) | 0o111;
  }
  await assertRootsOwn(folder);
  await chmod(folder, mode);
}

/** In a folder that others may change they could lay links for root to follow, or binaries of their own. */
export async function assertRootsOwn(folder: string): Promise<void> {
  const found = await lstat(folder);
  if (found.isDirectory() && found.uid === 0 && (found.mode & 0o022) === 0) return;
  throw new EmbeddedPostgresError(`${folder} is not a folder that belongs to root alone`);
}
