import { Kysely, PostgresDialect } from 'kysely';
import { Pool } from 'pg';
import type { Config } from '../config';
import { openEmbedded } from './embedded-postgres';

export interface PoolOptions {
  /** Connections at most. */
  readonly max: number;
  /** What pg_stat_activity shows for these connections. */
  readonly applicationName: string;
  /** Told of connections that break while idle; the default writes one line to stderr. */
  readonly onError?: (error: Error) => void;
}

const CONNECT_TIMEOUT_MS = 10_000;

/** A pool of connections. None is opened before the first query. */
export function openPool(url: string, options: PoolOptions): Pool {
  const pool = new Pool({
    connectionString: url,
    max: options.max,
    application_name: options.applicationName,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    // A named statement must not keep the plan it got while its table was empty: on a grown one it scans it whole.
    options: '-c plan_cache_mode=force_custom_plan',
  });
  // Without a listener one broken idle connection ends the process. The pool replaces it; the next query tells.
  pool.on(
    'error',
    options.onError ?? ((error) => console.error(`database connection lost: ${error.message}`)),
  );
  return pool;
}

/** Kysely over a pool that somebody else closes. */
export function kyselyOn<Tables>(pool: Pool): Kysely<Tables> {
  return new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) });
}

export interface Database {
  readonly pool: Pool;
  readonly url: string;
  /** Closes the pool, then ends the embedded server if nobody else uses it. Idempotent. */
  close(): Promise<void>;
}

/** The database of a configuration: `DATABASE_URL`, or the embedded PostgreSQL of its home. Not migrated. */
export async function openDatabase(
  config: Pick<Config, 'databaseUrl' | 'home' | 'databasePoolSize'>,
  options: Partial<PoolOptions> = {},
): Promise<Database> {
  const embedded = config.databaseUrl === undefined ? await openEmbedded(config.home) : undefined;
  const url = embedded?.url ?? config.databaseUrl;
  if (url === undefined) throw new Error('neither DATABASE_URL nor an embedded server: cannot happen');
  const pool = openPool(url, { max: config.databasePoolSize, applicationName: 'opstruth', ...options });
  let closing: Promise<void> | undefined;
  const close = async () => {
    await pool.end();
    await embedded?.stop();
  };
  return { pool, url, close: () => (closing ??= close()) };
}
