import { join } from 'node:path';
import { buildInProcess } from '../../src/runtime/build-process';
import { loadConfig } from '../../src/config';
import { createLogger } from '../../src/observability/logger';
import { generationById } from '../../src/projector/generations';
import { openRuntime } from '../../src/runtime/runtime';

/**
 * Builds a generation in a process of its own, as a server does, and prints a line of how that ended. With `stop` it is asked to stop
 * at once, with `killed` it is killed at once.
 */
async function main(databaseUrl: string, id: number, fate?: string): Promise<void> {
  const config = loadConfig({ DATABASE_URL: databaseUrl }, { requireAuth: false });
  const runtime = await openRuntime(config, createLogger({ level: 'silent' }));
  const stopping = new AbortController();
  const generation = await generationById(runtime.pool, id);
  if (fate === 'stop') stopping.abort();
  if (fate === 'killed') process.env.NODE_OPTIONS = `--require ${join(__dirname, 'killed-at-once.cjs')}`;
  const outcome = await buildInProcess(runtime)(generation!, stopping.signal).then(
    () => ({ kind: 'returned' }),
    (error: Error) => ({ kind: 'threw', name: error.name, message: error.message }),
  );
  console.log(JSON.stringify(outcome));
  await runtime.close();
}

void main(process.argv[2]!, Number(process.argv[3]), process.argv[4]);
