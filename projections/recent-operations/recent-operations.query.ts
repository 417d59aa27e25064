import type { Kysely } from 'kysely';
import { isBeyondRanges, newestRuns } from '../../src/http/run-filter-list';
import type { RunView } from '../../src/http/run-view';
import type { PageParameters } from '../../src/http/read-request';
import type { RunCountTable, RunListTable } from '../../src/projector/run-columns';

interface Tables {
  run_counts: RunCountTable;
  runs: RunListTable;
}

/** A page of the view's runs, newest first. */
export async function recentRuns(view: RunView, page: PageParameters) {
  const after = view.after(page);
  const { selection } = view;
  const { problemClass: _class, active: _active, ...filter } = selection.filter;
  return view.read(
    (db: Kysely<Tables>) => ({
      runs: newestRuns(
        db,
        'runs',
        { ...selection, after, limit: page.limit },
        { table: 'run_counts', filter, byTenant: true },
      ),
    }),
    { lookup: !isBeyondRanges(selection.filter) },
  );
}
