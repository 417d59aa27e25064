import type { Kysely } from 'kysely';
import { isBeyondRanges, newestRuns, staleRuns } from '../../src/http/run-filter-list';
import { LOOKUP } from '../../src/http/run-view';
import type { RunView } from '../../src/http/run-view';
import type { PageParameters } from '../../src/http/read-request';
import { bucketSums, countRows, countsByPlace } from '../../src/http/summary-sql';
import type { RunListTable, RunWorkspaceTable } from '../../src/projector/run-columns';

interface Tables {
  run_workspace_counts: RunWorkspaceTable;
  runs: RunListTable;
}

/** A page of the platform's runs, newest first. */
export async function platformRuns(view: RunView, page: PageParameters) {
  const after = view.after(page);
  const { tenant: _tenant, problemClass: _class, active: _active, ...filter } = view.filter;
  return view.read(
    (db: Kysely<Tables>) => ({
      runs: newestRuns(
        db,
        'runs',
        { ...view.selection, after, limit: page.limit },
        { table: 'run_workspace_counts', filter, byTenant: false },
      ),
    }),
    { lookup: !isBeyondRanges(view.filter) },
  );
}

/** The counts of each workspace that has runs, at the view's instant. */
export async function countsByWorkspace(view: RunView) {
  const { meta, rows } = await view.read(
    (db: Kysely<Tables>) => ({
      cells: db
        .selectFrom('run_workspace_counts')
        .select(['workspace_id as place', ...bucketSums()])
        .groupBy('workspace_id')
        .orderBy('workspace_id'),
      stale: staleRuns(db, view.selection)
        .select(['workspace_id as place', countRows()])
        .groupBy('workspace_id'),
    }),
    LOOKUP,
  );
  return { meta, workspaces: countsByPlace(rows.cells, rows.stale) };
}
