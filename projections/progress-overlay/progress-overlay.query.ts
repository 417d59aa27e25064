import type { Kysely } from 'kysely';
import { sql } from 'kysely';
import { inScope } from '../../src/auth/scope-sql';
import { listed, olderThan, pageRows, runOf } from '../../src/http/run-filter-list';
import type { ListedRun } from '../../src/http/run-filter-list';
import { LOOKUP } from '../../src/http/run-view';
import type { RunView } from '../../src/http/run-view';
import type { PageParameters } from '../../src/http/read-request';
import type { RunListTable } from '../../src/projector/run-columns';

interface Tables {
  active_runs: RunListTable;
}

/** A page of the active runs, how many the filter leaves, and how many there are on the path at all. */
export async function activeRuns(view: RunView, page: PageParameters) {
  const after = view.after(page);
  return view.read(
    (db: Kysely<Tables>) => ({
      runs: db
        .selectFrom('active_runs')
        .select(runOf(db, 'active_runs'))
        .where(listed(view.selection))
        .where(olderThan(after, 'queued_at'))
        .orderBy('queued_at', 'desc')
        .orderBy('run_id', 'desc')
        .limit(pageRows(page))
        .$castTo<ListedRun>(),
      counts: db
        .selectFrom('active_runs')
        .select([
          sql<number>`count(*)`.as('active'),
          sql<number>`count(*) filter (where ${listed(view.selection)})`.as('listed'),
        ])
        .where(inScope(view.scope)),
    }),
    LOOKUP,
  );
}
