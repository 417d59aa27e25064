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
    'insert into opstruth.audit_entries (actor, action, generation, reason, details) values ($1, $2, $3, $4, $5)',
    [entry.actor, entry.action, entry.generation, entry.reason, JSON.stringify(entry.details)],
  );
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
