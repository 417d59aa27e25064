import type { Pool, PoolClient } from 'pg';

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

/** The same on a connection of the pool. */
export async function transaction<T>(
  pool: Pool,
  work: (client: PoolClient) => Promise<T>,
  begin?: string,
): Promise<T> {
  const client = await pool.connect();
  try {
    return await inTransaction(client, () => work(client), begin);
  } finally {
    client.release();
  }
}

/** Everything `work` reads is of one instant. Holds no transaction id, so that readers of the log need not wait for it. */
export async function inSnapshot<T>(pool: Pool, work: (client: PoolClient) => Promise<T>): Promise<T> {
  return transaction(pool, work, 'begin transaction isolation level repeatable read read only');
}
