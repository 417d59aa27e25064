import type { Pool, PoolClient } from 'pg';
import { isUnreachable } from './database';

/**
 * A process that is paused in the middle of a transaction would keep whoever waits for its locks waiting, for as long as it
 * is paused: PostgreSQL ends its session. In milliseconds, long enough for the work that may lie between two statements.
 */
export const IDLE_LIMIT = 'idle_in_transaction_session_timeout=5000';

/**
 * All of `work` or nothing of it. `begin` is what it starts with: more than the word where it needs an isolation level or
 * settings of its own. A connection that breaks is told by the statement that it broke under.
 */
export async function inTransaction<T>(
  client: Pick<PoolClient, 'query'>,
  work: () => Promise<T>,
  begin = 'begin',
): Promise<T> {
  try {
    await client.query(begin);
    const result = await work();
    await client.query('commit');
    return result;
  } catch (error) {
    await client.query('rollback').catch(() => undefined); // the first error is the one to tell
    throw error;
  }
}

/** The same on a connection of the pool, under further settings, and not for longer than IDLE_LIMIT between two statements. */
export async function transaction<T>(
  pool: Pool,
  work: (client: PoolClient) => Promise<T>,
  settings: readonly string[] = [],
): Promise<T> {
  return connected(pool, work, beginWith(settings));
}

/** What such a transaction begins with. */
export function beginWith(settings: readonly string[]): string {
  return ['begin', ...[IDLE_LIMIT, ...settings].map((setting) => `set local ${setting}`)].join('; ');
}

async function connected<T>(pool: Pool, work: (client: PoolClient) => Promise<T>, begin: string): Promise<T> {
  const client = await pool.connect();
  try {
    const result = await inTransaction(client, () => work(client), begin);
    client.release();
    return result;
  } catch (error) {
    // What `work` throws of its own is rolled back; after what breaks a connection nobody is to get that one.
    client.release(isUnreachable(error));
    throw error;
  }
}

/** Everything `work` reads is of one instant, for as long as it takes. Holds no transaction id, so that readers of the log need not wait for it. */
export async function inSnapshot<T>(pool: Pool, work: (client: PoolClient) => Promise<T>): Promise<T> {
  return connected(pool, work, 'begin transaction isolation level repeatable read read only');
}
