import { createHash, randomBytes } from 'node:crypto';
import { existsSync, realpathSync } from 'node:fs';
import { chmod, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { ConfigError } from '../config';
import { isErrno, processIsAlive } from './file-lock';
import { runsOn } from './server';
import {
  assertReachable,
  assertRootsOwn,
  closedFolder,
  EmbeddedPostgresError,
  makeOpenFolder,
  outsideFolder,
  serverAccount,
} from './account';
import type { ServerAccount } from './account';

/** What always lies in the home itself. */
export interface Home {
  readonly folder: string;
  readonly record: string;
  readonly lock: string;
  readonly uses: string;
}

export const USER = 'postgres';

const recordSchema = z.object({
  user: z.literal(USER),
  password: z.string().min(16),
  /** Where the data is, when not in the home. */
  data: z
    .string()
    .regex(/^\/.*\/opstruth\/[0-9a-f]{16}\/postgres$/)
    .optional(),
});
type HomeRecord = z.infer<typeof recordSchema>;

export interface DataPlace {
  readonly data: string;
  readonly log: string;
  readonly account: ServerAccount;
  readonly password: string;
  /** The data of a removed home that was found in this place and moved aside. */
  readonly former?: string | undefined;
}

const STOP_TIMEOUT_MS = 60_000;

/** Throws ConfigError when it cannot be made. */
export async function makeHome(path: string): Promise<Home> {
  try {
    // The server's own account has to pass through, whatever the umask says; what is secret inside has its own mode.
    for (const folder of await makeFolders(resolve(path))) await chmod(folder, 0o711);
    await readdir(path);
  } catch (error) {
    throw new ConfigError([`OPSTRUTH_HOME: cannot be used as a folder: ${(error as Error).message}`]);
  }
  return homeAt(realpathSync(path));
}

/**
 * The folder and those above it that are missing; answers the ones it made. One by one, because Node's own recursive way
 * never ends where a file system has no room for folders (as under /proc).
 */
async function makeFolders(path: string): Promise<string[]> {
  try {
    await mkdir(path);
    return [path];
  } catch (error) {
    if (isErrno(error, 'EEXIST')) return [];
    if (!isErrno(error, 'ENOENT') || existsSync(dirname(path))) throw error;
  }
  return [...(await makeFolders(dirname(path))), ...(await makeFolders(path))];
}

function homeAt(folder: string): Home {
  const inHome = (name: string) => join(folder, name);
  return {
    folder,
    record: inHome('postgres.json'),
    lock: inHome('postgres.lock'),
    uses: inHome('postgres.uses'),
  };
}

/**
 * Where the database of a home is, decided at its first use and recorded in `<home>/postgres.json`. Call it under the
 * home's lock.
 *
 * It is `<home>/postgres`, except where this process is root and the server's account may not enter the home: there it
 * is `/var/lib/opstruth/<hash of the home's path>/postgres`, and that folder's file `home` names the home.
 * - A removed home takes its database along: the next home with its path begins with an empty one. What the first left
 *   outside is ended and moved to `<hash>.old`, until the next one replaces it there.
 * - Where the record alone was removed from a home, opening it is an error, as it is with the data inside.
 * - A moved home keeps its database. A copy of a home begins with an empty one: the other is the original's.
 */
export async function dataPlace(home: Home): Promise<DataPlace> {
  const record = await ownRecord(home);
  if (record?.data !== undefined && existsSync(dirname(record.data))) {
    await assertRootsOwn(rootOf(record.data));
    const account = await serverAccount(record.data);
    await assertReachable(record.data, account);
    return placeOf(record, record.data, account);
  }
  const inside = join(home.folder, 'postgres');
  if (record === undefined && existsSync(inside)) throw recordMissing(home, inside);
  const account = await serverAccount(inside);
  // Data made while the home was open stays where it is: an empty database in its place would look like a loss.
  if (existsSync(inside)) await assertReachable(inside, account);
  const login = { user: USER, password: record?.password ?? randomBytes(24).toString('hex') } as const;
  if ((await closedFolder(inside, account)) === undefined) {
    if (record === undefined || record.data !== undefined) await writeRecord(home, login);
    return placeOf(login, inside, account);
  }
  const folder = join(await outsideFolder(account), hashOf(home.folder));
  if (existsSync(folder) && existsSync(home.uses) && !existsSync(home.record))
    throw recordMissing(home, join(folder, 'postgres'));
  const former = await setAside(folder);
  const data = join(folder, 'postgres');
  await writeRecord(home, { ...login, data });
  await makeOpenFolder(folder);
  await nameHome(folder, home);
  return { ...placeOf(login, data, account), former };
}

/** The folder in which a home keeps its data outside itself. Whoever removes that home has to remove it as well. */
export async function folderOutside(path: string): Promise<string | undefined> {
  const record = await readRecord(homeAt(path));
  return record?.data === undefined ? undefined : dirname(record.data);
}

function placeOf({ password }: HomeRecord, data: string, account: ServerAccount): DataPlace {
  return { data, log: join(dirname(data), 'postgres.log'), account, password };
}

/** The record of this home, brought up to date after a move; undefined when there is none or it is another home's. */
async function ownRecord(home: Home): Promise<HomeRecord | undefined> {
  const record = await readRecord(home);
  if (record?.data === undefined) return record;
  const folder = dirname(record.data);
  const own = join(rootOf(record.data), hashOf(home.folder));
  if (folder === own) return record;
  if (existsSync(folder)) {
    await assertRootsOwn(rootOf(record.data));
    const original = await readFile(join(folder, 'home'), 'utf8').catch(() => undefined);
    const other = original === undefined ? undefined : await readRecord(homeAt(original.trimEnd()));
    if (other?.data === record.data) return undefined;
    await setAside(own);
    await rename(folder, own);
    await nameHome(own, home);
  }
  const moved = { ...record, data: join(own, 'postgres') };
  await writeRecord(home, moved);
  return moved;
}

/** Moves what a removed home left in `folder` out of the way, its server ended. */
async function setAside(folder: string): Promise<string | undefined> {
  if (!existsSync(folder)) return undefined;
  const data = join(folder, 'postgres');
  const pidFile = await readFile(join(data, 'postmaster.pid'), 'utf8').catch(() => '');
  const pid = Number(pidFile.split('\n')[0]);
  if (await runsOn(pid, data)) {
    // PostgreSQL's fast shutdown.
    process.kill(pid, 'SIGINT');
    const deadline = Date.now() + STOP_TIMEOUT_MS;
    while (processIsAlive(pid)) {
      if (Date.now() > deadline)
        throw new EmbeddedPostgresError(
          `the PostgreSQL (pid ${pid}) on ${data}, of a removed home, does not stop`,
        );
      await sleep(50);
    }
  }
  const aside = `${folder}.old`;
  await rm(aside, { recursive: true, force: true });
  await rename(folder, aside);
  return join(aside, 'postgres');
}

function recordMissing(home: Home, data: string): EmbeddedPostgresError {
  return new EmbeddedPostgresError(
    `${home.record} is missing, and with it the password of the database in ${data}: restore it, or remove ${data} to begin with an empty database`,
  );
}

async function readRecord(home: Home): Promise<HomeRecord | undefined> {
  const text = await readFile(home.record, 'utf8').catch((error: unknown) => {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  });
  if (text === undefined) return undefined;
  const parsed = recordSchema.safeParse(parseJson(text));
  if (!parsed.success) throw new EmbeddedPostgresError(`${home.record} is damaged: restore it`);
  return parsed.data;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

async function writeRecord(home: Home, record: HomeRecord): Promise<void> {
  await writeFile(`${home.record}.new`, `${JSON.stringify(record)}\n`, { mode: 0o600 });
  await rename(`${home.record}.new`, home.record);
}

/** For whoever finds the folder, and to tell a moved home from a copied one. */
async function nameHome(folder: string, home: Home): Promise<void> {
  await writeFile(join(folder, 'home'), `${home.folder}\n`, { mode: 0o644 });
}

function hashOf(path: string): string {
  return createHash('sha256').update(path).digest('hex').slice(0, 16);
}

function rootOf(dataOutside: string): string {
  return dirname(dirname(dataOutside));
}
