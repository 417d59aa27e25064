// First of all: what follows takes a while to load.
import './ignore-signals';
import { once } from 'node:events';
import type { BuildResult, BuildTask } from './build-process';
import { createLogger } from '../observability/logger';
import { lowerPriority } from '../replay/build/low-priority';
import { buildHere, isEnded } from '../replay/replay-worker';
import { requireGeneration } from '../replay/replays';
import { openRuntime, projectorOptions } from './runtime';

// The process that `buildInProcess` starts.
void main();

async function main(): Promise<void> {
  lowerPriority();
  const stopping = new AbortController();
  process.on('disconnect', () => stopping.abort());
  const [task] = (await once(process, 'message')) as [BuildTask];
  process.on('message', () => stopping.abort());
  const result = await build(task, stopping.signal).then(
    (): BuildResult => ({ kind: 'ready_or_stopped' }),
    resultOf,
  );
  if (process.connected) process.send!(result, () => process.disconnect());
}

async function build({ generationId, config }: BuildTask, signal: AbortSignal): Promise<void> {
  const log = createLogger({ level: config.logLevel });
  const runtime = await openRuntime(config, log, {
    migrate: false,
    anySurfaces: true,
    applicationName: 'opstruth build',
  });
  try {
    const generation = await requireGeneration(runtime, generationId);
    await buildHere(projectorOptions(runtime))(generation, signal);
  } finally {
    await runtime.close();
  }
}

function resultOf(error: unknown): BuildResult {
  if (isEnded(error)) return { kind: 'ended', message: error.message };
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  return { kind: 'failed', message, stack };
}
