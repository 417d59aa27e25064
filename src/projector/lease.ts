import type { Pool } from 'pg';

/** A job held by one process at a time, by the database's clock. */
export interface Lease {
  /** Takes or renews the lease; false while another holder's has not run out. */
  hold(): Promise<boolean>;
  /** Gives the lease back, so that a successor need not wait for it to run out. */
  release(): Promise<void>;
}

/** Whether anybody holds it. Asked of the database, whose clock set the end: ours may be apart by more than a lease is long. */
export async function isLeaseHeld(pool: Pool, name: string): Promise<boolean> {
  const { rowCount } = await pool.query(
    'select from opstruth.leases where name = $1 and expires_at > now()',
    [name],
  );
  return rowCount === 1;
}

/** `ttlSeconds`: how long a holder that went silent keeps others out. Renew at a third of it. */
export function createLease(pool: Pool, name: string, holder: string, ttlSeconds: number): Lease {
  return {
    async hold() {
      const { rowCount } = await pool.query(
        `insert into opstruth.leases as held (name, holder, expires_at)
         values ($1, $2, now() + make_interval(secs => $3))
         on conflict (name) do update set holder = excluded.holder, expires_at = excluded.expires_at
           where held.holder = excluded.holder or held.expires_at < now()`,
        [name, holder, ttlSeconds],
      );
      return rowCount === 1;
    },
    async release() {
      await pool.query('delete from opstruth.leases where name = $1 and holder = $2', [name, holder]);
    },
  };
}
