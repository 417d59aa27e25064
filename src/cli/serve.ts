import { buildInProcess } from '../runtime/build-process';
import { loadConfig } from '../config';
import { createLogger } from '../observability/logger';
import { openRuntime } from '../runtime/runtime';
import { startServer } from '../runtime/server';
import { stopSignal } from './stop-signal';

/** Of the statements of a server the longest count whole tables. */
const ANSWERS_WITHIN_MS = 30_000;
/** Longer than a build may take to come to the end of a step, which is waited for. */
const STOPS_WITHIN_MS = 20_000;

/** Serves until SIGINT or SIGTERM. Throws, once all is closed, what a background loop has died of. */
export async function serve(): Promise<void> {
  const config = loadConfig(process.env);
  const log = createLogger({ level: config.logLevel });
  const runtime = await openRuntime(config, log, { migrate: true, answersWithinMs: ANSWERS_WITHIN_MS });
  const stopped = stopSignal();
  const server = await startServer(runtime, log, buildInProcess(runtime)).catch(async (error: unknown) => {
    await runtime.close();
    throw error;
  });
  try {
    log.info({ signal: await Promise.race([stopped, server.failure]) }, 'stopping');
  } finally {
    const patience = setTimeout(() => {
      log.fatal('it could not stop in order: something does not answer');
      process.exit(1);
    }, STOPS_WITHIN_MS);
    await server.close();
    await runtime.close();
    clearTimeout(patience);
  }
}
