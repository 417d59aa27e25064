import { ConfigError, loadConfig } from '../config';
import { createLogger } from '../observability/logger';
import { openRuntime } from '../runtime';
import { startServer } from '../server';

/** Serves until SIGINT or SIGTERM. */
export async function serve(): Promise<void> {
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

/** Tells what ended a verb, in words where they are meant for people; a wrong setting ends with exit code 2. */
export function fail(error: unknown, json = false): void {
  const { words, exitCode } = endingOf(error);
  process.stderr.write(`${json ? JSON.stringify({ error: words }) : words}\n`);
  process.exitCode = exitCode;
}

function endingOf(error: unknown): { words: string; exitCode: number } {
  if (!(error instanceof Error)) return { words: String(error), exitCode: 1 };
  if (ADDRESS_CODES.has((error as NodeJS.ErrnoException).code ?? ''))
    return { words: `PORT, HOST: cannot listen there: ${error.message}`, exitCode: 2 };
  return {
    words: SPOKEN.has(error.name) ? error.message : (error.stack ?? error.message),
    exitCode: error instanceof ConfigError ? 2 : 1,
  };
}
