import { Worker } from 'node:worker_threads';
import type { Config } from './config';
import type { Generation } from './projector/generations';
import { ReplayEndedError } from './replay/building';
import type { Build } from './replay/replay-worker';
import type { Runtime } from './runtime';

/** What the thread begins with. */
export interface ThreadTask {
  readonly generationId: number;
  /** With the address of the database that the process has opened. */
  readonly config: Config;
}

/** What the thread tells before it ends: errors of our own would lose their class on the way. */
export type ThreadResult =
  | { readonly kind: 'stopped_or_ready' }
  | { readonly kind: 'ended'; readonly message: string }
  | { readonly kind: 'failed'; readonly message: string; readonly stack: string | undefined };

/** Any message to the thread asks it to stop between two transactions. */
const STOP = 'stop';

/**
 * Builds each generation on a thread of its own, with connections of its own: folding takes the processor for as long as it
 * can get it, and requests, batches of the live generation and leases do not wait for it.
 */
export function buildInThread({ config, databaseUrl }: Runtime): Build {
  return async (generation, signal) => {
    const result = await resultOf(generation, { ...config, databaseUrl }, signal);
    if (result.kind === 'ended') throw new ReplayEndedError(result.message);
    if (result.kind === 'failed') throw Object.assign(new Error(result.message), { stack: result.stack });
  };
}

async function resultOf(
  { id: generationId }: Generation,
  config: Config,
  signal: AbortSignal,
): Promise<ThreadResult> {
  const workerData: ThreadTask = { generationId, config };
  const thread = new Worker(require.resolve('./build-thread-task'), { workerData });
  const stop = () => thread.postMessage(STOP);
  signal.addEventListener('abort', stop);
  if (signal.aborted) stop();
  try {
    return await new Promise<ThreadResult>((resolve, reject) => {
      let told: ThreadResult | null = null;
      thread.on('message', (result: ThreadResult) => (told = result));
      thread.on('error', reject);
      // Its connections are closed by then.
      thread.on('exit', (code) =>
        told ? resolve(told) : reject(new Error(`the thread of a build ended with code ${code}`)),
      );
    });
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
