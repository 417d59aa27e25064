import { parentPort, workerData } from 'node:worker_threads';
import type { MessagePort } from 'node:worker_threads';
import type { ThreadResult, ThreadTask } from './build-thread';
import { createLogger } from './observability/logger';
import { FencedError } from './projector/run-folding';
import { ReplayEndedError } from './replay/building';
import { lowerPriority } from './replay/low-priority';
import { buildHere } from './replay/replay-worker';
import { requireGeneration } from './replay/replays';
import { projectorOptions, openRuntime } from './runtime';

// The thread that `buildInThread` starts.
const { generationId, config } = workerData as ThreadTask;
void main(parentPort!);

async function main(parent: MessagePort): Promise<void> {
  lowerPriority();
  const stopping = new AbortController();
  parent.once('message', () => stopping.abort());
  const result = await build(stopping.signal).then(
    (): ThreadResult => ({ kind: 'stopped_or_ready' }),
    resultOf,
  );
  parent.postMessage(result);
  parent.close();
}

async function build(signal: AbortSignal): Promise<void> {
  const log = createLogger({ level: config.logLevel });
  const runtime = await openRuntime(config, log, { migrate: false, anySurfaces: true });
  try {
    const generation = await requireGeneration(runtime, generationId);
    await buildHere(projectorOptions(runtime))(generation, signal);
  } finally {
    await runtime.close();
  }
}

function resultOf(error: unknown): ThreadResult {
  // Fenced: its state or its checkpoint was changed by somebody else, as an abort does.
  if (error instanceof ReplayEndedError || error instanceof FencedError)
    return { kind: 'ended', message: error.message };
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  return { kind: 'failed', message, stack };
}
