import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

const HEARTBEAT_MS = 2_000;
/** A holder that has not touched its file for so long is gone, whatever process has its pid today. */
const STALE_AFTER_MS = 15_000;
const POLL_MS = 50;

/** Locks this process holds: a file with our pid and another token is from an earlier process with the same pid. */
const held = new Set<string>();

/**
 * Runs `work` while no other process on this machine runs under the same lock file. A lock left by a killed process
 * is taken over. Throws when the lock is not free within `waitMs`.
 */
export async function withFileLock<T>(path: string, work: () => Promise<T>, waitMs = 180_000): Promise<T> {
  const token = randomUUID();
  const content = `${process.pid} ${token}`;
  held.add(token);
  try {
    await acquire(path, content, waitMs);
    const heartbeat = setInterval(() => {
      const now = new Date();
      // A missed touch only makes the lock look older; the next one, or the end of the work, settles it.
      utimes(path, now, now).catch(() => undefined);
    }, HEARTBEAT_MS);
    try {
      return await work();
    } finally {
      clearInterval(heartbeat);
      if ((await readIfThere(path)) === content) await rm(path, { force: true });
    }
  } finally {
    held.delete(token);
  }
}

async function acquire(path: string, content: string, waitMs: number): Promise<void> {
  const deadline = Date.now() + waitMs;
  for (;;) {
    try {
      await writeFile(path, content, { flag: 'wx', mode: 0o600 });
      return;
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) {
        // Made, and with no room for its line: nobody's, and in everybody's way until it is old.
        if (isErrno(error, 'ENOSPC')) await rm(path, { force: true });
        throw error;
      }
    }
    const judged = await readIfThere(path);
    if (judged !== undefined && (await isStale(path, judged))) await breakLock(path, judged);
    else if (Date.now() > deadline) {
      throw new Error(
        `another process (${judged?.split(' ')[0] ?? 'unknown'}) holds ${path} for more than ${waitMs / 1000} s; stop it or remove the file`,
      );
    } else await sleep(POLL_MS);
  }
}

/** Moves a stale lock away. Whoever moved a lock that was not the one judged stale puts it back. */
async function breakLock(path: string, judged: string): Promise<void> {
  const aside = `${path}.${randomUUID()}`;
  try {
    await rename(path, aside);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return;
    throw error;
  }
  const moved = await readIfThere(aside);
  if (moved !== undefined && moved !== judged)
    await writeFile(path, moved, { flag: 'wx' }).catch(() => undefined);
  await rm(aside, { force: true });
}

async function isStale(path: string, content: string): Promise<boolean> {
  const [pid, token] = content.split(' ');
  // A lock whose owner is still writing its line is empty: only its age can tell.
  if (pid !== undefined && token !== undefined && !entryIsAlive(Number(pid), token, held)) return true;
  const found = await stat(path).catch(() => undefined);
  return found !== undefined && Date.now() - found.mtimeMs > STALE_AFTER_MS;
}

/** Whether the process that wrote `pid` and `token` still runs; `own` are the tokens of this process. */
export function entryIsAlive(pid: number, token: string, own: ReadonlySet<string>): boolean {
  return pid === process.pid ? own.has(token) : processIsAlive(pid);
}

/** Whether a process with this pid runs on this machine. A zombie, dead but not yet reaped, does not. */
export function processIsAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return isErrno(error, 'EPERM');
  }
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3) !== 'Z';
  } catch {
    // No /proc here: the signal's answer stands.
    return true;
  }
}

/** Not by `instanceof`: errors of the runtime are of another realm wherever code runs in a VM context, as in jest. */
export function isErrno(error: unknown, code: string): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === code;
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}
