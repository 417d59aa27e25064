import { pino } from 'pino';
import { loadConfig } from '../src/config';
import { openRuntime } from '../src/runtime/runtime';
import type { Runtime } from '../src/runtime/runtime';

/** The product's own runtime on a database of the benchmark, closed whatever happens. */
export async function withBenchRuntime<T>(
  databaseUrl: string,
  work: (runtime: Runtime) => Promise<T>,
  eventStoreUrl?: string,
): Promise<T> {
  const config = loadConfig(
    { DATABASE_URL: databaseUrl, ...(eventStoreUrl !== undefined && { EVENT_STORE_URL: eventStoreUrl }) },
    { requireAuth: false },
  );
  const runtime = await openRuntime(config, pino({ level: 'warn' }, process.stderr));
  try {
    return await work(runtime);
  } finally {
    await runtime.close();
  }
}
