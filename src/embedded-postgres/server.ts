import { spawn } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { chown, open, readdir, readFile, readlink, rename, stat, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { processIsAlive } from './file-lock';
import { freePort } from './free-port';
import { EmbeddedPostgresError } from './account';
import type { ServerAccount } from './account';
import type { Binaries } from './binaries';

const START_TIMEOUT_SECONDS = 120;
const STOP_TIMEOUT_SECONDS = 60;
const START_ATTEMPTS = 10;
const MAX_SOCKET_PATH = 100;
const MAX_LOG_BYTES = 10 * 1024 * 1024;

/** Makes a new cluster (UTF8, locale C, SCRAM) in an empty folder that `account` owns. */
export async function initCluster(
  binaries: Binaries,
  dataDir: string,
  login: { readonly user: string; readonly passwordFile: string },
  account: ServerAccount,
  durable: boolean,
): Promise<void> {
  const args = [
    `--pgdata=${dataDir}`,
    `--username=${login.user}`,
    `--pwfile=${login.passwordFile}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    '--locale=C',
    '--no-instructions',
    ...(durable ? [] : ['--no-sync']),
  ];
  const { code, output } = await run(binaries.initdb, args, dirname(dataDir), account);
  if (code !== 0) {
    throw new EmbeddedPostgresError(`initdb failed (exit ${code}) in ${dataDir}:\n${output.trim()}`);
  }
}

/** Starts the server of `dataDir` as a daemon on a free loopback port; resolves with the port once it answers. */
export async function startServer(
  binaries: Binaries,
  dataDir: string,
  logFile: string,
  account: ServerAccount,
  durable: boolean,
): Promise<number> {
  await removeSockets(dataDir);
  for (let attempt = 1; ; attempt++) {
    const port = await freePort();
    const logFrom = await prepareLog(logFile, account);
    const settings = Object.entries({ ...serverSettings(dataDir, durable), port: String(port) });
    const args = [
      'start',
      '--silent',
      '--wait',
      `--timeout=${START_TIMEOUT_SECONDS}`,
      `--pgdata=${dataDir}`,
      `--log=${logFile}`,
      `--options=${settings.map(([name, value]) => `-c ${name}=${value}`).join(' ')}`,
    ];
    const { code, output } = await run(binaries.pgCtl, args, dirname(dataDir), account);
    if (code === 0) return port;
    const log = (await readFile(logFile, 'utf8')).slice(logFrom);
    // The port was taken between looking and binding; or the last backends of a killed server are still leaving.
    const passing = /could not bind|pre-existing shared memory block/.test(log);
    if (!passing || attempt === START_ATTEMPTS) {
      throw new EmbeddedPostgresError(
        `the embedded PostgreSQL of ${dataDir} did not start (exit ${code}); ${logFile} says:\n${(log || output).trim().slice(-2000)}`,
      );
    }
    await sleep(500);
  }
}

/** Ends the server of `dataDir`: sessions are cut, a checkpoint is written. */
export async function stopServer(binaries: Binaries, dataDir: string, account: ServerAccount): Promise<void> {
  const args = ['stop', '--silent', '--wait', '--mode=fast', `--timeout=${STOP_TIMEOUT_SECONDS}`];
  const { code, output } = await run(
    binaries.pgCtl,
    [...args, `--pgdata=${dataDir}`],
    dirname(dataDir),
    account,
  );
  if (code !== 0 && existsSync(join(dataDir, 'postmaster.pid'))) {
    throw new EmbeddedPostgresError(
      `the embedded PostgreSQL of ${dataDir} did not stop: ${output.trim() || `exit ${code}`}`,
    );
  }
}

/** Whether `pid` is a server on `dataDir`. In doubt it is: starting a second one on the same files would destroy them. */
export async function runsOn(pid: number, dataDir: string): Promise<boolean> {
  if (!(pid > 0) || !processIsAlive(pid)) return false;
  // A server's working folder is its data folder. Where that cannot be read (no /proc), the pid is all there is.
  const folder = await readlink(`/proc/${pid}/cwd`).catch(() => undefined);
  return folder === undefined || folder === realpathSync(dataDir);
}

/** Where a server listens beside its port, for half the cost of a round trip; undefined when it does not. */
export function socketFolder(dataDir: string, port: number): string | undefined {
  return existsSync(socketFile(dataDir, port)) ? dataDir : undefined;
}

function socketFile(dataDir: string, port: number): string {
  return join(dataDir, `.s.PGSQL.${port}`);
}

/** Those of a server that was killed: each had a port of its own, so that no later one would replace them. */
async function removeSockets(dataDir: string): Promise<void> {
  for (const name of await readdir(dataDir))
    if (name.startsWith('.s.PGSQL.')) await unlink(join(dataDir, name));
}

/** Systems cut the path of a socket at about a hundred bytes, and pg_ctl hands settings to a shell. */
function mayHaveSocket(dataDir: string): boolean {
  return (
    process.platform !== 'win32' &&
    /^[\w./-]+$/.test(dataDir) &&
    socketFile(dataDir, 65_535).length <= MAX_SOCKET_PATH
  );
}

function serverSettings(dataDir: string, durable: boolean): Record<string, string> {
  return {
    listen_addresses: '127.0.0.1',
    // Inside the data folder, so that no other account gets as far as the password.
    unix_socket_directories: mayHaveSocket(dataDir) ? dataDir : '',
    max_connections: '100',
    shared_buffers: '128MB',
    max_wal_size: '2GB',
    checkpoint_timeout: '15min',
    random_page_cost: '1.1',
    jit: 'off',
    timezone: 'UTC',
    log_timezone: 'UTC',
    fsync: durable ? 'on' : 'off',
    synchronous_commit: durable ? 'on' : 'off',
    full_page_writes: durable ? 'on' : 'off',
  };
}

/** The log file, writable by the server and not growing for ever. Resolves with the length it has now. */
async function prepareLog(logFile: string, account: ServerAccount): Promise<number> {
  const before = await stat(logFile).catch(() => undefined);
  if (before && before.size > MAX_LOG_BYTES) await rename(logFile, `${logFile}.1`);
  const file = await open(logFile, 'a', 0o600);
  try {
    if (account) await chown(logFile, account.uid, account.gid);
    return (await file.stat()).size;
  } finally {
    await file.close();
  }
}

function run(
  command: string,
  args: readonly string[],
  cwd: string,
  account: ServerAccount,
): Promise<{ code: number | null; output: string }> {
  return new Promise((done, failed) => {
    const child = spawn(command, args, { cwd, env: plainEnvironment(), ...account, stdio: 'pipe' });
    let output = '';
    const collect = (chunk: Buffer) => (output += chunk.toString('utf8'));
    child.stdin.end();
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    child.once('error', failed);
    child.once('close', (code) => done({ code, output }));
  });
}

/** Not ours: its secrets do not belong in the server's environment, and PG* variables would redirect it. */
function plainEnvironment(): NodeJS.ProcessEnv {
  const kept = ['PATH', 'HOME', 'SystemRoot', 'TEMP', 'TMP', 'TMPDIR'];
  const entries = kept.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : []));
  return { ...(Object.fromEntries(entries) as Record<string, string>), LC_ALL: 'C' };
}
