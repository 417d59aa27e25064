import type { Pool } from 'pg';
import { policyWarnings } from '../classifier/policy';
import type { Policy } from '../classifier/policy';
import { transaction } from '../db/transaction';
import { savePolicy } from '../projector/policies';
import { recordAudit } from './audit-entries';
import { withReason } from './replays';
import type { Operator } from './replays';

export interface ProposedPolicy {
  readonly version: number;
  /** False: the same policy was there already, under this version, and nothing was kept. */
  readonly added: boolean;
  readonly warnings: readonly string[];
}

/** Keeps a policy as a new immutable version, with an audit entry in the same transaction. Idempotent by content. */
export async function proposePolicy(pool: Pool, policy: Policy, asking: Operator): Promise<ProposedPolicy> {
  const operator = withReason(asking);
  return transaction(pool, async (client) => {
    // Of two that propose the same at once, the second finds the first one's version and leaves no entry.
    await client.query(`select pg_advisory_xact_lock(hashtext('opstruth.policies'))`);
    const { rows } = await client.query<{ last: number }>(
      'select coalesce(max(version), 0) as last from opstruth.policies',
    );
    const version = await savePolicy(client, policy, operator.actor, operator.reason);
    const added = version > rows[0]!.last;
    if (added)
      await recordAudit(client, {
        ...operator,
        action: 'policy.propose',
        generation: null,
        details: { version },
      });
    return { version, added, warnings: policyWarnings(policy) };
  });
}
