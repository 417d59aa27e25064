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

export async function loadPolicy(pool: Pool, version: number): Promise<VersionedPolicy> {
  const record = (await listPolicies(pool)).find((policy) => policy.version === version);
  if (!record)
    throw new UnknownPolicyError(`there is no policy version ${version}: see \`opstruth policy list\``);
  return record;
}

export async function listPolicies(pool: Pool): Promise<PolicyRecord[]> {
  const { rows } = await pool.query<{
    version: number;
    document: unknown;
    created_at: Date;
    created_by: string;
    reason: string | null;
  }>('select version, document, created_at, created_by, reason from opstruth.policies order by version');
  return rows.map((row) => ({
    version: row.version,
    policy: parsePolicy(row.document),
    createdAt: row.created_at.toISOString(),
    createdBy: row.created_by,
    reason: row.reason,
  }));
}
