import type { Kysely } from 'kysely';
import { listed, olderThan, pageRows, runOf } from '../../src/http/run-filter-list';
import type { ListedRun } from '../../src/http/run-filter-list';
import type { RunView } from '../../src/http/run-view';
import type { PageParameters } from '../../src/http/read-request';
import type { RunListTable } from '../../src/projector/run-columns';

interface Tables {
  recent_operations_runs: RunListTable;
}

/** A page of the view's runs, newest first. */
export async function recentRuns(view: RunView, page: PageParameters) {
  const after = view.after(page);
  return view.read((db: Kysely<Tables>) => ({
    runs: db
      .selectFrom('recent_operations_runs')
      .select(runOf(db, 'recent_operations_runs'))
      .where(listed(view.selection))
      .where(olderThan(after, 'queued_at'))
      .orderBy('queued_at', 'desc')
      .orderBy('run_id', 'desc')
      .limit(pageRows(page))
      .$castTo<ListedRun>(),
  }));
}
