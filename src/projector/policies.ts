import type { Pool } from 'pg';
import { parsePolicy } from '../classifier/policy';
import type { Policy, VersionedPolicy } from '../classifier/policy';

export interface PolicyRecord extends VersionedPolicy {
  readonly createdAt: string;
  readonly createdBy: string;
  readonly reason: string | null;
}

/** Keeps a policy as a new immutable version; the same content again answers the version it already has. */
export async function savePolicy(
  pool: Pick<Pool, 'query'>,
  policy: Policy,
  by: string,
  reason: string | null,
): Promise<number> {
  const { rows } = await pool.query<{ version: number }>(
    `with given as (
       -- The digest is of the document as PostgreSQL orders it: see migrations/0013.
       select document, encode(sha256(convert_to(document::text, 'UTF8')), 'hex') as digest from (select $1::jsonb as document) g
     ), added as (
       insert into opstruth.policies (document, digest, created_by, reason)
       -- Asked first, because an insert that conflicts uses up a version number all the same.
       select document, digest, $2, $3 from given where not exists (select from opstruth.policies where digest = given.digest)
       on conflict (digest) do nothing returning version)
     select version from added union all select version from opstruth.policies join given using (digest) limit 1`,
    [JSON.stringify(policy), by, reason],
  );
  if (rows[0]) return rows[0].version;
  // Another process committed the same policy after this statement's snapshot was taken: it is visible now.
  return savePolicy(pool, policy, by, reason);
}

export class UnknownPolicyError extends Error {
  override readonly name = 'UnknownPolicyError';
}

export async function loadPolicy(pool: Pool, version: number): Promise<PolicyRecord> {
  // This one alone: what a schema of today makes of versions that nobody uses any more is no matter of theirs.
  const { rows } = await pool.query<PolicyRow>(`${SELECT} where version = $1`, [version]);
  const [row] = rows;
  if (!row)
    throw new UnknownPolicyError(`there is no policy version ${version}: see \`opstruth policy list\``);
  return recordOf(row);
}

export async function listPolicies(pool: Pool): Promise<PolicyRecord[]> {
  const { rows } = await pool.query<PolicyRow>(`${SELECT} order by version`);
  return rows.map(recordOf);
}

interface PolicyRow {
  readonly version: number;
  readonly document: unknown;
  readonly created_at: Date;
  readonly created_by: string;
  readonly reason: string | null;
}

const SELECT = 'select version, document, created_at, created_by, reason from opstruth.policies';

function recordOf(row: PolicyRow): PolicyRecord {
  return {
    version: row.version,
    policy: parsePolicy(row.document),
    createdAt: row.created_at.toISOString(),
    createdBy: row.created_by,
    reason: row.reason,
  };
}
