import type { Pool, PoolClient } from 'pg';

export interface AuditEntry {
  readonly actor: string;
  readonly action: string;
  readonly generation: number | null;
  readonly reason: string | null;
  readonly details: object;
}

/** One entry per action that changed something, in the transaction that changed it. Previews leave none. */
export async function recordAudit(client: Pick<PoolClient, 'query'>, entry: AuditEntry): Promise<void> {
  await client.query(
    // When it was done, and not when the transaction began to wait for others.
    'insert into opstruth.audit_entries (at, actor, action, generation, reason, details) values (clock_timestamp(), $1, $2, $3, $4, $5)',
    [entry.actor, entry.action, entry.generation, entry.reason, JSON.stringify(entry.details)],
  );
}

/** A cutover or rollback, as its entry tells it. */
export interface LastSwitch {
  readonly action: 'replay.cutover' | 'replay.rollback';
  readonly actor: string;
  readonly from: number;
  readonly to: number;
  readonly secondsAgo: number;
}

export async function lastSwitch(pool: Pool): Promise<LastSwitch | null> {
  const { rows } = await pool.query<LastSwitch>(
    `select action, actor, (details ->> 'from')::int as "from", generation as "to",
       extract(epoch from clock_timestamp() - at)::float8 as "secondsAgo"
     from opstruth.audit_entries where action in ('replay.cutover', 'replay.rollback') order by id desc limit 1`,
  );
  return rows[0] ?? null;
}

export async function listAuditEntries(
  pool: Pool,
  limit: number,
): Promise<(AuditEntry & { readonly id: string; readonly at: string })[]> {
  const { rows } = await pool.query<AuditEntry & { id: string; at: Date }>(
    'select id, at, actor, action, generation, reason, details from opstruth.audit_entries order by id desc limit $1',
    [limit],
  );
  return rows.map((row) => ({ ...row, at: row.at.toISOString() }));
}
