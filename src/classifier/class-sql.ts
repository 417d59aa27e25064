import type { RawBuilder, SqlBool } from 'kysely';
import { sql } from 'kysely';
import type { ProblemClass } from '../domain/classification';
import { PROBLEM_CLASSES } from '../domain/classification';
import type { Instant } from '../events/instant';
import { rowTimeline } from './classified-run';
import type { ClassifiedRun } from './classified-run';

/**
 * The two columns from which every query tells a run's class at any instant: `problem_class text not null`, the class
 * up to and including `stale_at timestamptz`, which is null unless the run goes stale when nothing more is heard of it.
 */
export interface ClassColumns {
  readonly problem_class: ProblemClass;
  readonly stale_at: Instant | null;
}

/** The class columns of a run's row. Throws when they could not hold its timeline. */
export function classColumns(run: Pick<ClassifiedRun, 'facts' | 'timeline'>): ClassColumns {
  const { problemClass, staleAt } = rowTimeline(run);
  return { problem_class: problemClass, stale_at: staleAt };
}

/** The class at `asOf`: `verdictAt` in SQL, for select lists and `group by`. `table` qualifies the columns in a join. */
export function problemClassAt(asOf: Instant, table?: string): RawBuilder<ProblemClass> {
  const { problemClass, staleAt } = columns(table);
  return sql<ProblemClass>`(case when ${staleAt} < ${asOf}::timestamptz then 'active_stale_attention' else ${problemClass} end)`;
}

/**
 * Whether the class at `asOf` is one of `classes` (none of them: false). Written on the bare columns, and the classes as
 * literals, so that plain and partial indexes serve it.
 */
export function hasProblemClass(
  classes: readonly ProblemClass[],
  asOf: Instant,
  table?: string,
): RawBuilder<SqlBool> {
  const wanted = PROBLEM_CLASSES.filter((problemClass) => classes.includes(problemClass));
  if (wanted.length === 0) return sql<SqlBool>`false`;
  if (wanted.length === PROBLEM_CLASSES.length) return sql<SqlBool>`true`;
  const { problemClass, staleAt } = columns(table);
  const conditions = wanted.map((one) => {
    switch (one) {
      case 'active_stale_attention':
        return sql<SqlBool>`${staleAt} < ${asOf}::timestamptz`;
      case 'terminal_follow_up':
        return sql<SqlBool>`${problemClass} = 'terminal_follow_up'`;
      case 'none':
        return sql<SqlBool>`(${problemClass} = 'none' and (${staleAt} is null or ${staleAt} >= ${asOf}::timestamptz))`;
    }
  });
  return sql<SqlBool>`(${sql.join(conditions, sql` or `)})`;
}

function columns(table: string | undefined) {
  const prefix = table === undefined ? '' : `${table}.`;
  return { problemClass: sql.ref(`${prefix}problem_class`), staleAt: sql.ref(`${prefix}stale_at`) };
}
