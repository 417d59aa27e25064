import { buildInProcess } from '../runtime/build-process';
import { loadConfig } from '../config';
import { createLogger } from '../observability/logger';
import { openRuntime } from '../runtime/runtime';
import { startServer } from '../runtime/server';
import { stopSignal } from './stop-signal';

/** Serves until SIGINT or SIGTERM. Throws, once all is closed, what a background loop has died of. */
export async function serve(): Promise<void> {
  const config = loadConfig(process.env);
  const log = createLogger({ level: config.logLevel });
  const runtime = await openRuntime(config, log);
  const stopped = stopSignal();
  const server = await startServer(runtime, log, buildInProcess(runtime)).catch(async (error: unknown) => {
    await runtime.close();
    throw error;
  });
  try {
    log.info({ signal: await Promise.race([stopped, server.failure]) }, 'stopping');
  } finally {
    await server.close();
    await runtime.close();
  }
}
