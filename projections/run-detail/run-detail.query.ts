import type { Kysely } from 'kysely';
import { sql } from 'kysely';
import { inScope } from '../../src/auth/scope-sql';
import { streamOf } from '../../src/events/operation-run-events';
import type { ListedRun } from '../../src/http/run-filter-list';
import { LOOKUP } from '../../src/http/run-view';
import type { RunView } from '../../src/http/run-view';
import type { RunFactsTable } from '../../src/projector/run-columns';
import type { KeptRun } from './detail';

interface Tables {
  run_facts: RunFactsTable;
  /** No table of a generation: what operators decided is in force in all of them. */
  'opstruth.discarded_events': {
    stream_id: string;
    revision: number;
    event_type: string | null;
    actor: string;
    reason: string;
    discarded_at: string;
  };
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
      // The newest retry, where its first event was discarded: it is no run any more, and will never be one.
      discardedRetry: db
        .selectFrom('opstruth.discarded_events')
        .select('stream_id')
        .where(
          'stream_id',
          '=',
          own.select(sql<string>`${streamOf('')} || (own.facts->'successorRunIds'->>(-1))`.as('stream_id')),
        )
        .where('revision', '=', 0),
      discardedEvents: db
        .selectFrom('opstruth.discarded_events as discarded')
        .select([
          'discarded.revision',
          'discarded.event_type as event',
          'discarded.actor',
          'discarded.reason',
          sql<string>`to_char(discarded.discarded_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`.as(
            'at',
          ),
        ])
        .where('discarded.stream_id', '=', streamOf(runId))
        // Those that the row has come past. Nothing is below the version of a run that is out of scope.
        .where('discarded.revision', '<', own.select(sql<number>`(own.run->>'version')::int`.as('version')))
        .orderBy('discarded.revision'),
    };
  }, LOOKUP);
  const { run, ...others } = rows;
  return { meta, run: run[0], ...others };
}
