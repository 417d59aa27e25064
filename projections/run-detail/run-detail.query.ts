import type { Kysely } from 'kysely';
import { sql } from 'kysely';
import { inScope } from '../../src/auth/scope-sql';
import type { ListedRun } from '../../src/http/run-filter-list';
import { LOOKUP } from '../../src/http/run-filter-view';
import type { RunView } from '../../src/http/run-filter-view';
import type { RunFactsTable } from '../../src/projector/run-columns';
import type { KeptRun } from './detail';

interface Tables {
  run_facts: RunFactsTable;
}

/** A run may have been retried over and over; the page names the newest. */
const MAX_SUCCESSORS = 50;

/** One run and the runs it is linked with by retry, each in its own row's words; undefined when out of scope. */
export async function oneRun(view: RunView, runId: string) {
  const { meta, rows } = await view.read((db: Kysely<Tables>) => {
    const own = db.selectFrom('run_facts as own').where('own.run_id', '=', runId).where(inScope(view.scope));
    return {
      run: own.select(['own.run', 'own.facts', 'own.position']).$castTo<KeptRun>(),
      predecessors: db
        .selectFrom('run_facts')
        .select('run')
        .where('run_id', '=', own.select(sql<string>`own.run->>'predecessorRunId'`.as('id')))
        .where(inScope(view.scope))
        .$castTo<ListedRun>(),
      successors: db
        .selectFrom('run_facts')
        .select('run')
        // An array and not a join: PostgreSQL then looks each one up by its id.
        .where(
          sql`run_id`,
          '=',
          sql<string>`any(array(${own.select(
            sql<string>`json_array_elements_text(own.facts->'successorRunIds')`.as('id'),
          )}))`,
        )
        .where(inScope(view.scope))
        .orderBy(sql`(run->>'queuedAt')::timestamptz`, 'desc')
        .orderBy('run_id', 'desc')
        .limit(MAX_SUCCESSORS)
        .$castTo<ListedRun>(),
    };
  }, LOOKUP);
  return { meta, run: rows.run[0], predecessors: rows.predecessors, successors: rows.successors };
}
