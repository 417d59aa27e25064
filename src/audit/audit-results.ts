import type { Pool } from 'pg';
import type { Generation } from '../projector/generations';
import type { AuditReport } from './audit';

/** Differences kept with the result: enough to begin looking. */
const KEPT = 10;

/** Adds a look to what is known of its generation. A finding stays until a newer one, whatever later looks find. */
export async function recordAuditResult(pool: Pool, report: AuditReport): Promise<void> {
  const found = report.differences > 0 ? JSON.stringify(report.found.slice(0, KEPT)) : null;
  await pool.query(
    `insert into opstruth.audit_results as r
       (generation, last_at, last_runs, last_differences, runs_total, differences_total, found_at, found)
     values ($1, now(), $2::int, $3::int, $2::int, $3::int, case when $3::int > 0 then now() end, $4::jsonb)
     on conflict (generation) do update set
       last_at = excluded.last_at, last_runs = excluded.last_runs, last_differences = excluded.last_differences,
       runs_total = r.runs_total + excluded.runs_total,
       differences_total = r.differences_total + excluded.differences_total,
       found_at = coalesce(excluded.found_at, r.found_at), found = coalesce(excluded.found, r.found)`,
    [report.generation, report.runs, report.differences, found],
  );
}

/** Whether any look at it has found a row that does not say what the log does. */
export async function wasFoundWrong(pool: Pool, { id }: Pick<Generation, 'id'>): Promise<boolean> {
  const { rows } = await pool.query(
    'select 1 from opstruth.audit_results where generation = $1 and differences_total > 0',
    [id],
  );
  return rows.length > 0;
}
