import { ConfigError, loadConfig } from '../config';
import { createLogger } from '../observability/logger';
import { openRuntime } from '../runtime';
import { startServer } from '../server';

/** Serves until SIGINT or SIGTERM. A wrong setting is told in words and ends with exit code 2. */
export async function serve(): Promise<void> {
  try {
    const config = loadConfig(process.env);
    const log = createLogger({ level: config.logLevel });
    const runtime = await openRuntime(config, log);
    const stopped = stopSignal();
    const server = await startServer(runtime, log).catch(async (error: unknown) => {
      await runtime.close();
      throw error;
    });
    log.info({ signal: await stopped }, 'stopping');
    await server.close();
    await runtime.close();
  } catch (error) {
    fail(error);
  }
}

/** The first signal that asks to stop. A second one of the same kind ends the process at once. */
export function stopSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve(signal));
  });
}

/** Errors whose message is meant for the person at the terminal; of any other the stack is wanted. */
const SPOKEN = new Set([
  'ConfigError',
  'PolicyError',
  'PolicyFileError',
  'UnknownPolicyError',
  'TokenFlagError',
  'ImportError',
  'DatabaseUnreachableError',
  'SchemaNotCurrentError',
  'GenerationMismatchError',
  'EmbeddedPostgresError',
  'MigrationError',
  'EventCopyError',
  'ReplayRefusedError',
  'LogOccupiedError',
  'EventStoreUnavailableError',
  'EventStoreRefusedError',
]);

/** Addresses that cannot be listened on are settings too. */
const ADDRESS_CODES = new Set(['EADDRINUSE', 'EADDRNOTAVAIL', 'EACCES', 'ENOTFOUND']);

export function fail(error: unknown): void {
  if (error instanceof Error && ADDRESS_CODES.has((error as NodeJS.ErrnoException).code ?? '')) {
    process.stderr.write(`PORT, HOST: cannot listen there: ${error.message}\n`);
    process.exitCode = 2;
    return;
  }
  const spoken = error instanceof Error && SPOKEN.has(error.name);
  process.stderr.write(`${spoken ? error.message : error instanceof Error ? error.stack : String(error)}\n`);
  process.exitCode = error instanceof ConfigError ? 2 : 1;
}
