import { Kysely, PostgresDialect } from 'kysely';
import { Pool } from 'pg';
import type { Config } from '../config';
import { openEmbedded } from '../embedded-postgres/embedded-postgres';

export interface PoolOptions {
  /** Connections at most. */
  readonly max: number;
  /** What pg_stat_activity shows for these connections. */
  readonly applicationName: string;
  /** The settings under which its statements are planned. (Default: each time for the values at hand) */
  readonly plans?: readonly string[];
  /** Told of connections that break while idle; the default writes one line to stderr. */
  readonly onError?: (error: Error) => void;
}

const CONNECT_TIMEOUT_MS = 10_000;

/** A named statement must not keep the plan it got while its table was empty: on a grown one it scans it whole. */
const FOR_THE_VALUES_AT_HAND = ['plan_cache_mode=force_custom_plan'];

/**
 * The plan of a statement that finds its rows by key is the same whatever the key, and making it anew costs more than
 * running it: these are planned once, and never by scanning a table, however small that was at the time.
 */
export const BY_KEY: readonly string[] = ['plan_cache_mode=force_generic_plan', 'enable_seqscan=off'];

/** The statements of a page are large and their results are few: to compile one took seconds where to run it takes milliseconds. */
const NO_COMPILER = 'jit=off';

/** A pool of connections. None is opened before the first query. */
export function openPool(url: string, options: PoolOptions): Pool {
  const pool = new Pool({
    connectionString: url,
    max: options.max,
    application_name: options.applicationName,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    options: settingsOption([...(options.plans ?? FOR_THE_VALUES_AT_HAND), NO_COMPILER]),
  });
  // Without a listener one broken idle connection ends the process. The pool replaces it; the next query tells.
  pool.on(
    'error',
    options.onError ?? ((error) => console.error(`database connection lost: ${error.message}`)),
  );
  // Nor may one that breaks while somebody has it checked out, which the pool does not listen to: whoever has it is told by
  // the next statement on it.
  pool.on('connect', (client) => client.on('error', () => undefined));
  return pool;
}

/** Settings as the start-up option of a connection. */
export function settingsOption(settings: readonly string[]): string {
  return settings.map((setting) => `-c ${setting}`).join(' ');
}

/** Kysely over a pool that somebody else closes. */
export function kyselyOn<Tables>(pool: Pool): Kysely<Tables> {
  return new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) });
}

export interface Database {
  readonly pool: Pool;
  /** For statements that find their rows by key and run again and again, each under a name: see BY_KEY. */
  readonly lookups: Pool;
  readonly url: string;
  /** Closes the pools, then ends the embedded server if nobody else uses it. Idempotent. */
  close(): Promise<void>;
}

/** Nobody listens there, or whoever does refuses us. `reason` is what the connection said. */
export class DatabaseUnreachableError extends Error {
  override readonly name = 'DatabaseUnreachableError';
  constructor(
    readonly reason: string,
    cause: unknown,
    /** That names it. */
    setting?: string,
  ) {
    super(`${setting === undefined ? '' : `${setting}: `}the database cannot be reached: ${reason}`, {
      cause,
    });
  }
}

/** Connects once, so that a wrong address or password is told as such and not as the failure of some statement. */
export async function requireReachable(pool: Pool, setting?: string): Promise<void> {
  try {
    (await pool.connect()).release();
  } catch (error) {
    throw new DatabaseUnreachableError(reasonOf(error), error, setting);
  }
}

/** Classes 08 and 57P, the end of a session that held a transaction for too long (25P03), and what `pg` and the system say where no server answers. */
const NOT_ANSWERING = /^(08...|25P03|57P0.|53300|ECONN.*|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENOTFOUND|EAI_AGAIN)$/;
const LOST =
  /^(Connection terminated|timeout exceeded when trying to connect|Client was closed|Client has encountered a connection error)/;

/** Whether a statement failed because PostgreSQL is not there, or not for us: the same one may succeed later. */
export function isUnreachable(error: unknown): boolean {
  // What has a status of its own is the HTTP connection's.
  if (!(error instanceof Error) || 'statusCode' in error) return false;
  if (error instanceof AggregateError) return error.errors.some(isUnreachable);
  return ('code' in error && NOT_ANSWERING.test(String(error.code))) || LOST.test(error.message);
}

/** A name with several addresses fails with an error for each, and no words of its own. */
function reasonOf(error: unknown): string {
  const { message, errors = [] } = error as Partial<AggregateError>;
  return message || errors.map(reasonOf).join('; ') || String(error);
}

/**
 * The database of a configuration: `DATABASE_URL`, or the embedded PostgreSQL of its home. Not migrated. Throws
 * DatabaseUnreachableError, with nothing left open.
 */
export async function openDatabase(
  config: Pick<Config, 'databaseUrl' | 'home' | 'databasePoolSize'>,
  options: Partial<PoolOptions> = {},
): Promise<Database> {
  const embedded = config.databaseUrl === undefined ? await openEmbedded(config.home) : undefined;
  const url = embedded?.url ?? config.databaseUrl;
  if (url === undefined) throw new Error('neither DATABASE_URL nor an embedded server: cannot happen');
  const settings = { max: config.databasePoolSize, applicationName: 'opstruth', ...options };
  const pool = openPool(url, settings);
  const lookups = openPool(url, { ...settings, plans: BY_KEY });
  let closing: Promise<void> | undefined;
  const close = async () => {
    await Promise.all([pool.end(), lookups.end()]);
    await embedded?.stop();
  };
  try {
    await requireReachable(pool, embedded ? undefined : 'DATABASE_URL');
  } catch (error) {
    await close();
    throw error;
  }
  return { pool, lookups, url, close: () => (closing ??= close()) };
}
