import { fork } from 'node:child_process';
import { once } from 'node:events';
import type { Config } from '../config';
import type { Generation } from '../projector/generations';
import { ReplayEndedError } from '../replay/build/building';
import type { Build } from '../replay/replay-worker';
import type { Runtime } from './runtime';

/** What the process is sent first; any later message asks it to stop between two transactions. */
export interface BuildTask {
  readonly generationId: number;
  /** With the address of the database that the parent has opened. */
  readonly config: Config;
}

/** What the process tells before it ends: errors of our own would lose their class on the way. */
export type BuildResult =
  | { readonly kind: 'ready_or_stopped' }
  | { readonly kind: 'ended'; readonly message: string }
  | { readonly kind: 'failed'; readonly message: string; readonly stack: string | undefined };

/** A page's objects die young where they have room; more of it gains little and is memory twice over. */
const HEAP = '--max-semi-space-size=32';

/** The longest that a build may take to come to the end of a step. One that is killed goes on like any other. */
const GRACE_MS = 10_000;

/**
 * Builds each generation in a process of its own, with connections of its own: folding takes the processor for as long as it
 * can get it, and requests, batches of the live generation and leases do not wait for it. See docs/adr/0019.
 */
export function buildInProcess({ config, databaseUrl }: Runtime): Build {
  // A build lets nobody in, and what is to be said of the policy file has been said.
  const { auth: _auth, policyFile: _policyFile, ...settings } = config;
  return async (generation, signal) => {
    const result = await resultOf(generation, { ...settings, databaseUrl }, signal);
    if (result.kind === 'ended') throw new ReplayEndedError(result.message);
    if (result.kind === 'failed') throw Object.assign(new Error(result.message), { stack: result.stack });
  };
}

async function resultOf(
  { id: generationId }: Generation,
  config: Config,
  signal: AbortSignal,
): Promise<BuildResult> {
  const task: BuildTask = { generationId, config };
  const child = fork(require.resolve('./build-process-task'), {
    // Two processes cannot listen for one debugger.
    execArgv: [...process.execArgv.filter((flag) => !flag.startsWith('--inspect')), HEAP],
    serialization: 'advanced',
  });
  const results: BuildResult[] = [];
  child.on('message', (result) => results.push(result as BuildResult));
  const send = (message: BuildTask | 'stop') => {
    // One that has ended already cannot be told anything, and how it ended is told below.
    if (child.connected) child.send(message, () => undefined);
  };
  let killing: NodeJS.Timeout | undefined;
  const stop = () => {
    send('stop');
    killing = setTimeout(() => child.kill('SIGKILL'), GRACE_MS);
  };
  signal.addEventListener('abort', stop);
  try {
    send(task);
    if (signal.aborted) stop();
    // What it told may arrive after its end, but not after that of the channel.
    await Promise.all([once(child, 'exit'), once(child, 'disconnect')]);
    const [result] = results;
    if (result) return result;
    // A Ctrl-C in a terminal reaches the child as well, perhaps before it has learned to wait for its parent.
    if (signal.aborted) return { kind: 'ready_or_stopped' };
    const message =
      `the process of the build ended by ${child.signalCode ?? `exit code ${child.exitCode}`}` +
      (child.signalCode === 'SIGKILL' ? ': somebody killed it, or the system for want of memory' : '');
    return { kind: 'failed', message, stack: message };
  } finally {
    clearTimeout(killing);
    signal.removeEventListener('abort', stop);
  }
}
