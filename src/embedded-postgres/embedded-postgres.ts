import { randomUUID } from 'node:crypto';
import { existsSync, realpathSync } from 'node:fs';
import { chown, mkdir, readdir, readFile, rename, rm, unlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, DatabaseError } from 'pg';
import { dataPlace, makeHome, USER } from './places';
import type { DataPlace, Home } from './places';
import { entryIsAlive, isErrno, withFileLock } from './file-lock';
import { initCluster, runsOn, socketFolder, startServer, stopServer } from './server';
import { EmbeddedPostgresError } from './account';
import { locateBinaries, runnableBinaries } from './binaries';
import type { Binaries } from './binaries';

export interface EmbeddedOptions {
  /** False gives up every guarantee after a crash for speed: tests only. */
  readonly durable?: boolean;
  /** The database the url points to; created when absent. */
  readonly database?: string;
  /** Told what is kept outside of the home or the installation, and where; the default writes a line to stderr. */
  readonly onNotice?: (line: string) => void;
}

export interface EmbeddedPostgres {
  readonly url: string;
  /** True when this call started the server. */
  readonly owned: boolean;
  /** The folder of the database. */
  readonly dataDir: string;
  /** False once the server has ended by itself, or was killed: it is not started again under those who use it. */
  readonly isRunning: () => Promise<boolean>;
  /** Ends this use, and the server with it unless another living process still uses it. Idempotent. */
  stop(): Promise<void>;
}

const ATTACH_TIMEOUT_MS = 120_000;
/** Above every pid a kernel gives out. */
const NOBODY_PID = 2_147_483_647;

/** Uses of embedded servers by this process. */
const uses = new Set<string>();

/**
 * A real PostgreSQL with its data under `<home>/postgres`, shared by all processes that open the same home: the first
 * starts it, later ones connect, the last to stop ends it. A process that was killed no longer counts, so that its
 * server is neither left running for ever nor ended under those who use it. For root, whom PostgreSQL refuses, the
 * server runs under another account; what that account cannot reach is kept outside of the home (see `dataPlace`).
 */
export async function openEmbedded(path: string, options: EmbeddedOptions = {}): Promise<EmbeddedPostgres> {
  const durable = options.durable ?? true;
  const database = options.database ?? 'opstruth';
  const onNotice = options.onNotice ?? ((line) => console.error(line));
  const home = await makeHome(path);
  const installed = await locateBinaries();

  const opened = await underLock(home, async () => {
    const place = await dataPlace(home);
    const { data, account, password } = place;
    const binaries = await runnableBinaries(installed, account, onNotice);
    let port = await runningPort(place, home);
    const owned = port === undefined;
    if (port === undefined) {
      const isNew = !existsSync(data);
      if (isNew) await makeCluster(binaries, place, durable);
      port = await startServer(binaries, data, place.log, account, durable);
      if (dirname(data) !== home.folder) onNotice(whereItIs(home, place, isNew));
    }
    const address = { port, dataDir: data };
    await createDatabase(address, password, database);
    const use = await registerUse(home.uses);
    const pid = await postmasterPid(data);
    return { place, binaries, owned, use, pid, url: urlOf(address, password, database) };
  });
  const { data, account } = opened.place;
  const end = async () => {
    await endUse(home.uses, opened.use);
    if (await hasUses(home.uses)) return;
    // Whoever started it last: one that was killed has left its pid there, and nothing to stop.
    if (await runsOn(await postmasterPid(data), data)) await stopServer(opened.binaries, data, account);
  };

  let stopping: Promise<void> | undefined;
  return {
    url: opened.url,
    owned: opened.owned,
    dataDir: data,
    isRunning: () => runsOn(opened.pid, data),
    stop: () =>
      (stopping ??= underLock(home, end).catch((error: unknown) => {
        // With no room for a lock there is none to start a server either, which is all that the lock keeps out.
        if (isErrno(error, 'ENOSPC')) return end();
        throw error;
      })),
  };
}

/** 0 where none runs. */
async function postmasterPid(dataDir: string): Promise<number> {
  const content = await readFile(join(dataDir, 'postmaster.pid'), 'utf8').catch((error: unknown) => {
    if (isErrno(error, 'ENOENT')) return '0';
    throw error;
  });
  return Number(content.split('\n')[0]);
}

async function makeCluster(binaries: Binaries, place: DataPlace, durable: boolean): Promise<void> {
  // Made aside and moved into place: a crash half way leaves nothing that looks like a cluster.
  const aside = `${place.data}.new`;
  const passwordFile = `${place.data}.password`;
  const { account } = place;
  await rm(aside, { recursive: true, force: true });
  await mkdir(aside, { mode: 0o700 });
  try {
    await writeFile(passwordFile, place.password, { mode: 0o600 });
    if (account) {
      await chown(aside, account.uid, account.gid);
      await chown(passwordFile, account.uid, account.gid);
    }
    await initCluster(binaries, aside, { user: USER, passwordFile }, account, durable);
  } finally {
    await rm(passwordFile, { force: true });
  }
  await rename(aside, place.data);
}

function whereItIs(home: Home, { data, former }: DataPlace, isNew: boolean): string {
  return [
    `the database of ${home.folder}${isNew ? ', new and empty,' : ''} is kept in ${data}`,
    ': PostgreSQL does not run as root, and the account it runs under could not enter the home',
    former === undefined ? '' : `; that of a removed home with the same path was moved to ${former}`,
  ].join('');
}

async function underLock<T>(home: Home, work: () => Promise<T>): Promise<T> {
  try {
    return await withFileLock(home.lock, work);
  } catch (error) {
    if (!isErrno(error, 'EACCES')) throw error;
    throw new EmbeddedPostgresError(
      `${home.folder} belongs to another user: run as that user, or choose another OPSTRUTH_HOME`,
      { cause: error },
    );
  }
}

/** The port of the server that runs on this data folder; undefined when none does, with a stale pid file made harmless. */
async function runningPort(place: DataPlace, home: Home): Promise<number | undefined> {
  const dataDir = place.data;
  const deadline = Date.now() + ATTACH_TIMEOUT_MS;
  const pidFile = join(dataDir, 'postmaster.pid');
  for (;;) {
    const content = await readFile(pidFile, 'utf8').catch((error: unknown) => {
      if (isErrno(error, 'ENOENT')) return undefined;
      throw error;
    });
    if (content === undefined) return undefined;
    const [pidLine, , , portLine] = content.split('\n');
    const pid = Number(pidLine);
    const port = Number(portLine);
    if (!(await runsOn(pid, dataDir))) {
      // PostgreSQL would take whatever has that pid now for a living server. The line is changed rather than the file
      // removed, because PostgreSQL still reads there which shared memory has to be unused before it starts.
      await writeFile(pidFile, content.replace(/^.*$/m, String(NOBODY_PID)));
      return undefined;
    }
    if (port > 0 && (await answers(port, place, home))) return port;
    if (Date.now() > deadline) {
      throw new EmbeddedPostgresError(
        `a PostgreSQL (pid ${pid}) holds ${dataDir} but does not answer on port ${port}: see ${place.log}`,
      );
    }
    await sleep(100);
  }
}

async function answers(port: number, { data, password }: DataPlace, home: Home): Promise<boolean> {
  try {
    const found = await onServer({ port, dataDir: data }, password, async (client) => {
      const { rows } = await client.query<{ folder: string }>(
        `select current_setting('data_directory') as folder`,
      );
      return rows[0]?.folder;
    });
    return found !== undefined && realpathSync(found) === realpathSync(data);
  } catch (error) {
    if (error instanceof DatabaseError && error.code === '28P01') {
      throw new EmbeddedPostgresError(
        `the PostgreSQL on ${data} refuses the password in ${home.record}: restore that file`,
        { cause: error },
      );
    }
    // Starting up, recovering or shutting down: the caller looks again.
    return false;
  }
}

async function createDatabase(address: Address, password: string, database: string): Promise<void> {
  await onServer(address, password, async (client) => {
    const { rowCount } = await client.query('select 1 from pg_database where datname = $1', [database]);
    if (rowCount === 0) await client.query(`create database ${client.escapeIdentifier(database)}`);
  });
}

async function onServer<T>(
  address: Address,
  password: string,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  const client = new Client({
    connectionString: urlOf(address, password, 'postgres'),
    application_name: 'opstruth-embedded',
    connectionTimeoutMillis: 10_000,
  });
  // Without a listener a server that goes away mid-query ends the process; the query itself rejects all the same.
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

interface Address {
  readonly port: number;
  readonly dataDir: string;
}

function urlOf({ port, dataDir }: Address, password: string, database: string): string {
  const host = socketFolder(dataDir, port) ?? '127.0.0.1';
  return `postgres://${USER}:${password}@${encodeURIComponent(host)}:${port}/${encodeURIComponent(database)}`;
}

/** One file per use, named by pid and token: whoever comes next can tell the living from the dead. */
async function registerUse(folder: string): Promise<string> {
  await mkdir(folder, { recursive: true });
  const use = randomUUID();
  await writeFile(join(folder, `${process.pid}.${use}`), '');
  uses.add(use);
  return use;
}

async function endUse(folder: string, use: string): Promise<void> {
  uses.delete(use);
  await rm(join(folder, `${process.pid}.${use}`), { force: true });
}

async function hasUses(folder: string): Promise<boolean> {
  let living = 0;
  for (const name of await readdir(folder)) {
    const [pid, use] = name.split('.');
    if (pid !== undefined && use !== undefined && entryIsAlive(Number(pid), use, uses)) living++;
    else await unlink(join(folder, name));
  }
  return living > 0;
}
