import { Kysely, PostgresDialect } from 'kysely';
import { DatabaseError, Pool } from 'pg';
import type { QueryConfig } from 'pg';
import type { Config } from '../config';
import { NoSlotError } from '../tools/slots';
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
  /**
   * How long a statement of `pool.query` may take, in milliseconds. A connection whose other end has fallen silent answers
   * nothing, and no system tells of it for a quarter of an hour. (Default: for ever)
   */
  readonly answersWithinMs?: number | undefined;
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
    // A connection whose peer is gone while nothing is said on it would otherwise look healthy for two hours and more.
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
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
  pool.query = queryOn(pool, options.answersWithinMs);
  return pool;
}

/**
 * `pool.query` under a limit of time. The pool's own throws its connection away with whatever statement is refused: where a
 * database refuses many, as one that has become read-only does, connecting anew for each would take up what all others need.
 */
function queryOn(pool: Pool, answersWithinMs: number | undefined): Pool['query'] {
  const limited = (asked: string | QueryConfig) =>
    answersWithinMs === undefined
      ? asked
      : { ...(typeof asked === 'string' ? { text: asked } : asked), query_timeout: answersWithinMs };
  const query = async (asked: string | QueryConfig, values?: unknown[]): Promise<unknown> => {
    const client = await pool.connect();
    let error: unknown;
    try {
      return await client.query(limited(asked), values);
    } catch (cause) {
      error = cause;
      throw cause;
    } finally {
      client.release(isBroken(error));
    }
  };
  // Of its forms those that answer with a promise, which are all that anybody here uses.
  return query as Pool['query'];
}

/** Whether a connection is of no use after this error. PostgreSQL goes on after one of the severity ERROR. */
export function isBroken(error: unknown): boolean {
  return error !== undefined && !(error instanceof DatabaseError && error.severity === 'ERROR');
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
  /** Of the embedded server; absent where it is somebody else's, who looks after it. */
  readonly isRunning?: () => Promise<boolean>;
  /** Closes the pools, then ends the embedded server if nobody else uses it. Idempotent. */
  close(): Promise<void>;
}

/** Nobody listens there, or whoever does refuses us. `reason` is what the connection said. */
export class DatabaseUnreachableError extends Error {
  override readonly name = 'DatabaseUnreachableError';
  constructor(
    readonly reason: string,
    cause: unknown,
    /** The setting that says where it is, if one does. */
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

/**
 * Classes 08 (connection), 53 (no room, no memory, no connection) and 57P; a session that held a transaction for too long
 * (25P03); what has become read-only, as a standby is (25006); a limit of time (57014, 55P03) or the disk (58030); and what `pg`
 * and the system say where no server answers.
 */
const NOT_ANSWERING =
  /^(08...|53...|57P0.|25P03|25006|57014|55P03|58030|ECONN.*|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENOTFOUND|EAI_AGAIN)$/;
const LOST =
  /^(Connection terminated|Query read timeout|timeout exceeded when trying to connect|Client was closed|Client has encountered a connection error)/;

/** Whether a statement failed because PostgreSQL is not there, or cannot do it now: the same one may succeed later. */
export function isUnreachable(error: unknown): boolean {
  // What has a status of its own is the HTTP connection's.
  if (!(error instanceof Error) || 'statusCode' in error) return false;
  if (error instanceof AggregateError) return error.errors.some(isUnreachable);
  if (error instanceof NoSlotError) return true;
  const { code, syscall } = error as NodeJS.ErrnoException;
  // Of a socket that is a file.
  if (code === 'ENOENT') return syscall === 'connect';
  return (code !== undefined && NOT_ANSWERING.test(code)) || LOST.test(error.message);
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
  return {
    pool,
    lookups,
    url,
    ...(embedded && { isRunning: embedded.isRunning }),
    close: () => (closing ??= close()),
  };
}
