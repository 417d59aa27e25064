import type { Kysely } from 'kysely';
import { listed, olderThan, pageRows, runOf } from '../../src/http/run-filter-list';
import type { ListedRun } from '../../src/http/run-filter-list';
import type { RunView } from '../../src/http/run-view';
import type { PageParameters } from '../../src/http/read-request';
import type { RunListTable } from '../../src/projector/run-columns';

interface Tables {
  system_failures_runs: RunListTable & { readonly completed_at: string };
}

/** A page of the failed and the reconciled, last ended first. */
export async function failedRuns(view: RunView, page: PageParameters) {
  const after = view.after(page);
  return view.read(
    (db: Kysely<Tables>) => ({
      runs: db
        .selectFrom('system_failures_runs')
        .select(runOf(db, 'system_failures_runs'))
        .where(listed(view.selection))
        .where(olderThan(after, 'completed_at'))
        .orderBy('completed_at', 'desc')
        .orderBy('run_id', 'desc')
        .limit(pageRows(page))
        .$castTo<ListedRun>(),
    }),
    { lookup: view.isWhole },
  );
}
