import { Client } from 'pg';
import type { Pool } from 'pg';
import { connectionConfig } from '../db/connection-config';

/**
 * What a writer of read tables does is find rows by key. A plan made for that once is right for ever, while one that
 * PostgreSQL makes anew for each statement costs as much as a small batch itself, and one kept from when the tables
 * were empty would scan them when they are full.
 */
const BY_KEY = [
  'plan_cache_mode=force_generic_plan',
  'enable_seqscan=off',
  'enable_hashjoin=off',
  'enable_mergejoin=off',
];

/**
 * A connection of its own for writing read tables. It sends each statement without waiting for the answers to those
 * before it, so that a batch of twenty statements takes one round trip and not twenty. Whoever sends several at once
 * awaits them all; a transaction that one of them has spoilt refuses the rest.
 */
export async function openTableConnection(pool: Pool): Promise<Client> {
  const { options = '', ...config } = connectionConfig(pool);
  const client = new Client({
    ...config,
    pipeline: true,
    options: [options, ...BY_KEY.map((setting) => `-c ${setting}`)].join(' ').trim(),
  });
  // A connection that breaks fails the statements on it; without a listener it would end the process as well.
  client.on('error', () => undefined);
  await client.connect();
  return client;
}
