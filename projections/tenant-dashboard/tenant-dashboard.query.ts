import type { Kysely } from 'kysely';
import { inScope } from '../../src/auth/scope-sql';
import { staleRuns } from '../../src/http/run-filter-list';
import { LOOKUP } from '../../src/http/run-view';
import type { RunView } from '../../src/http/run-view';
import { countsAt, bucketSums, countRows } from '../../src/http/summary-sql';
import type { RunSummaryTable } from '../../src/projector/run-columns';

interface Tables {
  run_summary_counts: RunSummaryTable;
}

/** The tenant's counts at the view's instant. */
export async function tenantCounts(view: RunView) {
  const snapshot = await view.read(
    (db: Kysely<Tables>) => ({
      cells: db.selectFrom('run_summary_counts').select(bucketSums()).where(inScope(view.scope)),
      stale: staleRuns(db, view.selection).select(countRows()),
    }),
    LOOKUP,
  );
  return { meta: snapshot.meta, counts: countsAt(snapshot.rows.cells[0]!, snapshot.rows.stale[0]!.n) };
}
