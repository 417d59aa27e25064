import type { Kysely } from 'kysely';
import { sql } from 'kysely';
import type { SqlBool } from 'kysely';
import { hasProblemClass } from '../../src/classifier/class-sql';
import type { Keyset } from '../../src/http/cursor';
import { listed, pageRows, runOf } from '../../src/http/run-filter-list';
import type { ListedRun } from '../../src/http/run-filter-list';
import type { RunView } from '../../src/http/run-view';
import type { PageParameters } from '../../src/http/read-request';
import type { RunListTable } from '../../src/projector/run-columns';

interface Tables {
  active_runs: RunListTable;
}

/** A page of the stuck, the longest stuck first. */
export async function stuckRuns(view: RunView, page: PageParameters) {
  const after = view.after(page);
  return view.read(
    (db: Kysely<Tables>) => ({
      runs: db
        .selectFrom('active_runs')
        .select(runOf(db, 'active_runs'))
        .where(hasProblemClass(['active_stale_attention'], view.asOf))
        .where(listed(view.selection))
        .where(staleSince(after))
        .orderBy('stale_at')
        .orderBy('run_id')
        .limit(pageRows(page))
        .$castTo<ListedRun>(),
    }),
    { lookup: view.isWhole },
  );
}

function staleSince(after: Keyset | null) {
  return after === null
    ? sql<SqlBool>`true`
    : sql<SqlBool>`(stale_at, run_id) > (${after.sortAt}::timestamptz, ${after.runId})`;
}
