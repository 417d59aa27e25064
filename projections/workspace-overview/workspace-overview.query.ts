import type { Kysely } from 'kysely';
import { inScope } from '../../src/auth/scope-sql';
import { staleRuns } from '../../src/http/run-filter-list';
import { LOOKUP } from '../../src/http/run-view';
import type { RunView } from '../../src/http/run-view';
import { bucketSums, countRows, countsByPlace } from '../../src/http/summary-sql';
import type { RunSummaryTable } from '../../src/projector/run-columns';

interface Tables {
  run_summary_counts: RunSummaryTable;
}

/** The counts of each tenant that has runs, the tenantless ones last, at the view's instant. */
export async function countsByTenant(view: RunView) {
  const { meta, rows } = await view.read(
    (db: Kysely<Tables>) => ({
      cells: db
        .selectFrom('run_summary_counts')
        .select(['tenant_id as place', ...bucketSums()])
        .where(inScope(view.scope))
        .groupBy('tenant_id')
        .orderBy('tenant_id', (order) => order.asc().nullsLast()),
      stale: staleRuns(db, view.selection).select(['tenant_id as place', countRows()]).groupBy('tenant_id'),
    }),
    LOOKUP,
  );
  return { meta, tenants: countsByPlace(rows.cells, rows.stale) };
}
