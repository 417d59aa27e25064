import type { Kysely } from 'kysely';
import type { Scope } from '../../src/auth/principal';
import { inScope } from '../../src/auth/scope-sql';
import type { PageParameters } from '../../src/http/read-request';
import type { RunFilter } from '../../src/http/run-filter';
import { isBeyondRanges, newestRuns, staleRuns } from '../../src/http/run-filter-list';
import { matchesCell } from '../../src/http/run-filter-sql';
import type { RunView } from '../../src/http/run-view';
import { cellsMatching, countRows } from '../../src/http/summary-sql';
import type { RunCountTable, RunListTable, RunWorkspaceTable } from '../../src/projector/run-columns';

interface Tables {
  run_counts: RunCountTable;
  run_workspace_counts: RunWorkspaceTable;
  runs: RunListTable;
}

/** Each tab by what it adds to the filters that all of them share. */
export const TABS = {
  all: {},
  active: { active: true },
  active_stale_attention: { problemClass: ['active_stale_attention'] },
  terminal_follow_up: { problemClass: ['terminal_follow_up'] },
} as const satisfies Record<string, RunFilter>;

/** The filters that a tab does not replace by its own. */
export function sharedFilter({ problemClass: _class, active: _active, ...others }: RunFilter): RunFilter {
  return others;
}

/** A page of the list, and every tab's count under the filters that it shares with the others. */
export async function hubRuns(view: RunView, page: PageParameters) {
  const { filter, scope, asOf } = view.selection;
  const shared = sharedFilter(filter);
  const after = view.after(page);
  const byTenant = !ofWholeWorkspaces(filter, scope);
  const counts = byTenant ? 'run_counts' : 'run_workspace_counts';
  const { meta, rows } = await view.read(
    (db: Kysely<Tables>) => ({
      runs: newestRuns(
        db,
        'runs',
        { filter, scope, asOf, after, limit: page.limit },
        { table: counts, filter: shared, byTenant },
      ),
      cells: db
        .selectFrom(counts)
        .select([
          cellsMatching(TABS.all).as('all'),
          cellsMatching(TABS.active).as('active'),
          cellsMatching(TABS.terminal_follow_up).as('terminal_follow_up'),
        ])
        .where(inScope(scope))
        .where(matchesCell(shared)),
      stale: staleRuns(db, { filter: shared, scope, asOf }).select(countRows()),
    }),
    { lookup: !isBeyondRanges(filter) },
  );
  // Counted cells know no instant, so the one tab that time alone fills is counted from the deadlines.
  const tabs = { ...rows.cells[0]!, active_stale_attention: rows.stale[0]!.n };
  return { meta, runs: rows.runs, counts: tabs };
}

/** Whether no tenant makes a difference to what is counted. */
function ofWholeWorkspaces({ tenant }: RunFilter, scope: Scope): boolean {
  const limited = scope.kind === 'grants' && scope.grants.some((grant) => grant.tenantIds !== null);
  return !tenant?.length && !limited;
}
