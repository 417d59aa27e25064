import type { ClientConfig, Pool } from 'pg';

const CONNECT_TIMEOUT_MS = 10_000;

/** How to open a connection of one's own to where `pool` connects, for work that no pooled connection can do. */
export function connectionConfig(pool: Pool): ClientConfig {
  const { password, connectionTimeoutMillis } = pool.options;
  return {
    ...pool.options,
    // Not enumerable in the pool's options, so the spread leaves it out.
    ...(password !== undefined && { password }),
    connectionTimeoutMillis: connectionTimeoutMillis || CONNECT_TIMEOUT_MS,
  };
}
