import { fork, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../src/embedded-postgres/free-port';
import { packageFolder } from '../src/tools/package-folder';
import type { Launcher, Measured, Task } from './bench-context';

const READY_TIMEOUT_MS = 60_000;
/** Those of `npm start`, so that what is measured is what is served. */
function nodeFlags(): string[] {
  const { scripts } = JSON.parse(readFileSync(join(packageFolder(), 'package.json'), 'utf8')) as {
    scripts: { start: string };
  };
  return scripts.start.match(/--\S+/g) ?? [];
}

/** Runs tasks and servers as processes of their own, from the build beside this file. */
export const childLauncher: Launcher = { measure, serve, standIn };

function measure(task: Task): Promise<Measured> {
  return new Promise((resolve, reject) => {
    const child = fork(join(__dirname, 'child.js'), {
      execArgv: nodeFlags(),
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    child.once('message', ({ measured }: { measured: Measured }) => resolve(measured));
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`the ${task.kind} process ended with exit code ${code}`)));
    child.send(task);
  });
}

async function serve(env: Readonly<Record<string, string>>) {
  const port = await freePort();
  const child = spawn(process.execPath, [...nodeFlags(), join(__dirname, '..', 'src', 'main.js')], {
    env: { PATH: process.env.PATH, ...env, PORT: String(port) },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const url = `http://127.0.0.1:${port}`;
  try {
    await becomesReady(url, child);
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  }
  return { url, place: 'in a process of its own', stop: () => stop(child) };
}

/** From the sources of the tests, which no build holds: `npm run bench` is a command of the checkout. */
async function standIn() {
  const support = join(__dirname, '..', '..', 'test', 'support');
  const child = spawn(
    process.execPath,
    ['--require', join(support, 'swc-register.cjs'), join(support, 'eventstoredb-stand-in-script.ts')],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  for await (const url of createInterface({ input: child.stdout }))
    return { url, place: 'in a process of its own', stop: () => stop(child) };
  throw new Error('the stand-in for EventStoreDB did not start');
}

async function becomesReady(url: string, child: ChildProcess): Promise<void> {
  const deadline = Date.now() + READY_TIMEOUT_MS;
  for (;;) {
    const answer = await fetch(`${url}/health/live`).catch(() => null);
    if (answer?.ok) return;
    if (child.exitCode !== null) throw new Error(`the server ended with exit code ${child.exitCode}`);
    if (Date.now() > deadline) throw new Error(`the server at ${url} did not become ready`);
    await sleep(100);
  }
}

function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once('exit', () => resolve());
    child.kill('SIGTERM');
  });
}
