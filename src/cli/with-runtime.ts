import { loadConfig } from '../config';
import { createLogger } from '../observability/logger';
import { openRuntime } from '../runtime/runtime';
import type { Runtime, RuntimeOptions } from '../runtime/runtime';

/**
 * Runs a verb on an open runtime and closes it whatever happens. Logs go to standard error, so that standard output
 * holds the verb's result alone.
 */
export async function withRuntime<T>(
  options: RuntimeOptions,
  work: (runtime: Runtime) => Promise<T>,
): Promise<T> {
  const config = loadConfig(process.env, { requireAuth: false });
  const runtime = await openRuntime(config, createLogger({ level: 'warn' }, process.stderr), options);
  try {
    return await work(runtime);
  } finally {
    await runtime.close();
  }
}
