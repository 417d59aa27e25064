import { Socket } from 'node:net';
import { Client } from 'pg';
import type { Pool, QueryConfig, QueryResult } from 'pg';
import { connectionConfig } from '../db/connection-config';
import { BY_KEY, settingsOption } from '../db/database';
import { IDLE_LIMIT } from '../db/transaction';

/**
 * What a writer of read tables does is find rows by key. A plan made for that once is right for ever, while one that
 * PostgreSQL makes anew for each statement costs as much as a small batch itself, and one kept from when the tables
 * were empty would scan them when they are full.
 */
const BY_KEY_ALONE = [...BY_KEY, 'enable_hashjoin=off', 'enable_mergejoin=off'];

/** Somebody who locks a read table for long is to be told of, and not to be waited for without a word. */
const LOCK_LIMIT = 'lock_timeout=10000';
/** A statement that is not answered for so long never will be: see PoolOptions.answersWithinMs. */
const ANSWERS_WITHIN_MS = 30_000;
const CLOSES_WITHIN_MS = 2_000;

/** A connection of its own for writing read tables. */
export interface TableConnection extends Pick<Client, 'query'> {
  /**
   * Sends several statements in one go, none waiting for the answers to those before it: a batch of twenty takes one
   * round trip and not twenty. Throws the first that fails; inside a transaction PostgreSQL then refuses the rest.
   */
  together(statements: readonly (string | QueryConfig)[]): Promise<QueryResult[]>;
  close(): Promise<void>;
}

export async function openTableConnection(pool: Pool): Promise<TableConnection> {
  const { options = '', ...config } = connectionConfig(pool);
  const socket = new Socket();
  const client = new Client({
    ...config,
    stream: () => socket,
    pipeline: true,
    query_timeout: ANSWERS_WITHIN_MS,
    options: `${options} ${settingsOption([...BY_KEY_ALONE, IDLE_LIMIT, LOCK_LIMIT])}`.trim(),
  });
  // A connection that breaks fails the statements on it; without a listener it would end the process as well.
  client.on('error', () => undefined);
  await client.connect();
  return {
    query: client.query.bind<Client['query']>(client),
    together(statements) {
      // One write to the system for all of them.
      socket.cork();
      const answers = statements.map((statement) => client.query(statement));
      process.nextTick(() => socket.uncork());
      return Promise.all(answers);
    },
    async close() {
      // One that has fallen silent says no goodbye.
      const patience = setTimeout(() => socket.destroy(), CLOSES_WITHIN_MS);
      await client.end().finally(() => clearTimeout(patience));
    },
  };
}
