import type { Pool } from 'pg';
import type { Instant } from '../events/instant';
import { liveGeneration } from './generations';

/**
 * Runs of the live generation whose reconcile deadline lies strictly before `asOf`, by run id after `afterRunId`. Not
 * those with a parked event: no command can be decided on them until an operator has dealt with it. A hint for the
 * reconciler: the aggregate itself decides.
 */
export async function dueRuns(
  pool: Pool,
  asOf: Instant,
  afterRunId: string | null,
  limit: number,
): Promise<{ runId: string }[]> {
  const live = await liveGeneration(pool);
  if (!live) return [];
  const { rows } = await pool.query<{ runId: string }>(
    `select run_id as "runId" from ${live.schema}.run_facts
     where active and not incomplete and reconcile_due_at < $1::timestamptz and run_id > $2 order by run_id limit $3`,
    [asOf, afterRunId ?? '', limit],
  );
  return rows;
}
