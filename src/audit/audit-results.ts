import type { Pool } from 'pg';
import type { Generation } from '../projector/generations';
import type { AuditReport } from './audit';

/** Differences kept with the result: enough to begin looking. */
const KEPT = 10;

/**
 * Adds a look to what is known of its generation. A finding stays until a newer one, whatever later looks find. `folded`: how many
 * runs it has folded anew from the log.
 */
export async function recordAuditResult(
  pool: Pool,
  report: Pick<AuditReport, 'generation' | 'runs' | 'differences' | 'found'>,
  folded = report.runs,
): Promise<void> {
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
    [report.generation, folded, report.differences, found],
  );
}

/**
 * In which generation a look has found a row that does not say what the log does: this one or, as a copy has the rows of what it
 * was made from, one of those that it goes back to. Null when none has.
 */
export async function foundWrongIn(
  pool: Pick<Pool, 'query'>,
  { id }: Pick<Generation, 'id'>,
): Promise<number | null> {
  const { rows } = await pool.query<{ id: number }>(
    `with recursive origin as (
       select id, made_by, made_from from opstruth.generations where id = $1
       union
       select g.id, g.made_by, g.made_from from origin o join opstruth.generations g on g.id = o.made_from
       where o.made_by = 'facts')
     select origin.id from origin join opstruth.audit_results r on r.generation = origin.id
     where r.differences_total > 0 order by origin.id desc limit 1`,
    [id],
  );
  return rows[0]?.id ?? null;
}
