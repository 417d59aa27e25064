import type { Kysely, RawBuilder, SqlBool } from 'kysely';
import { sql } from 'kysely';
import type { Scope } from '../auth/principal';
import { inScope } from '../auth/scope-sql';
import type { RunDocument } from '../classifier/run-row';
import { oneOf } from '../db/one-of';
import type { RunFactsTable, RunListTable } from '../projector/run-columns';
import type { Keyset } from './cursor';
import { MAX_LIMIT } from './read-request';
import { rangesOf } from './run-filter-ranges';
import type { Range } from './run-filter-ranges';
import type { RunFilter } from './run-filter';
import { all, matches, matchesCell, tenantText } from './run-filter-sql';

export interface ListRequest {
  readonly filter: RunFilter;
  /** The reader's, narrowed to the path. */
  readonly scope: Scope;
  readonly asOf: string;
  /** The last row of the page before. */
  readonly after: Keyset | null;
  /** Rows of a page. One more is read, which tells whether there is a next page. */
  readonly limit: number;
}

/** A row of a list: what is shown of the run. */
export interface ListedRun {
  readonly run: RunDocument;
}

/**
 * What is shown of the run whose id is in `list.run_id`, to be selected as `run`. Lists keep which runs they show and in
 * what order; `run_facts` keeps what is shown of each, once. PostgreSQL looks it up for the rows of the page alone.
 */
export function runOf<DB>(db: Kysely<DB>, list: string) {
  return (db as unknown as Kysely<{ run_facts: RunFactsTable }>)
    .selectFrom('run_facts as shown')
    .select('shown.run')
    .where('shown.run_id', '=', sql.ref<string>(`${list}.run_id`))
    .as('run');
}

/** The condition under which a run is in the list, whatever the page. */
export function listed({ filter, scope, asOf }: Pick<ListRequest, 'filter' | 'scope' | 'asOf'>) {
  return all([inScope(scope), matches(filter, asOf)]);
}

/** The condition under which a run comes after the page before, in a list that begins with the newest. */
export function olderThan(after: Keyset | null, column: string): RawBuilder<SqlBool> {
  return after === null
    ? sql<SqlBool>`true`
    : sql<SqlBool>`(${sql.ref(column)}, run_id) < (${after.sortAt}::timestamptz, ${after.runId})`;
}

/** A table name of `DB` that holds list rows. */
type ListTable<DB, Name extends keyof DB & string> = DB[Name] extends RunListTable ? Name : never;

/** The same connection, knowing only that the named table is a list. `ListTable` has checked that it is. */
function asList<DB>(db: Kysely<DB>): Kysely<Record<string, RunListTable>> {
  return db as unknown as Kysely<Record<string, RunListTable>>;
}

const RANGE_COLUMNS: Record<keyof Range, RawBuilder<unknown>> = {
  problem_class: sql.ref('problem_class'),
  outcome: sql.ref('outcome'),
  workspace: sql.ref('workspace_id'),
  tenant: tenantText,
};

/** A counted table over the same runs, and what of the list's filter its columns can tell. */
export interface CellsOf<DB, Name extends keyof DB & string> {
  readonly table: DB[Name] extends { problem_class: string; outcome: string; n: number } ? Name : never;
  readonly filter: RunFilter;
  /** Whether it has a column for the tenant. */
  readonly byTenant: boolean;
}

/**
 * Runs newest first, from a table with indexes on (problem_class, outcome, queued_at desc, run_id desc), alone and
 * behind workspace and tenant. A page is merged from the first rows of the few ordered ranges that the filter leaves, so
 * that a rare outcome is read from its own range and not searched for among all the others. `cells` rules out the ranges
 * that hold no such run at all: without them a list that is empty would have been searched from end to end.
 */
export function newestRuns<DB, Name extends keyof DB & string, Cells extends keyof DB & string>(
  db: Kysely<DB>,
  table: ListTable<DB, Name>,
  request: ListRequest,
  cells: CellsOf<DB, Cells>,
) {
  const ranges = rangesOf(request);
  const columns = Object.keys(ranges[0]!) as (keyof Range)[];
  // As arrays, however many there are: each number of ranges would else be a statement of its own.
  const arrays = columns.map((column) => sql`${ranges.map((range) => range[column]!)}::text[]`);
  const namesOf = (some: typeof columns) => sql.join(some.map((column) => sql.id(`in_${column}`)));
  const within = columns.map(
    (column) => sql<SqlBool>`${RANGE_COLUMNS[column]} = ${sql.id('range', `in_${column}`)}`,
  );
  const counted = columns.filter((column) => column !== 'tenant' || cells.byTenant);
  const held = asList(db)
    .selectFrom(cells.table as string)
    .select(counted.map((column) => sql`${RANGE_COLUMNS[column]}`.as(column)))
    .where(all([sql<SqlBool>`n > 0`, inScope(request.scope), matchesCell(cells.filter)]))
    // Keeps it one pass over the cells: as a join they would be gone through once per range.
    .offset(0);
  const populated = sql<SqlBool>`(${namesOf(counted)}) in (${held})`;
  return asList(db)
    .selectFrom(sql<object>`unnest(${sql.join(arrays)})`.as<'range'>(sql`range (${namesOf(columns)})`))
    .innerJoinLateral(
      (from) =>
        from
          .selectFrom(table as string)
          .select(['run_id', 'queued_at'])
          .where(all([...within, ofTypes(request.filter), olderThan(request.after, 'queued_at')]))
          // `is true` hides the alternatives in it from the planner, which else collects them all before it sorts.
          .where(sql<SqlBool>`${listed(request)} is true`)
          .orderBy('queued_at', 'desc')
          .orderBy('run_id', 'desc')
          .limit(pageRows(request))
          .as('found'),
      (join) => join.onTrue(),
    )
    .select(runOf(db, 'found'))
    .where(isBeyondRanges(request.filter) ? populated : sql<SqlBool>`true`)
    .orderBy('found.queued_at', 'desc')
    .orderBy('found.run_id', 'desc')
    .limit(pageRows(request))
    .$castTo<ListedRun>();
}

/** Each is a form of every list's statement: a reader who asks for each limit there is must not use up their names. */
const PAGE_SIZES = [20, 50, 100, MAX_LIMIT];

/**
 * The rows to read for a page: at least one more than it shows, which tells whether there is a next one. Written into the
 * statement, because a plan that is to serve any number of rows would sort the whole list.
 */
export function pageRows({ limit }: { readonly limit: number }): RawBuilder<number> {
  return sql.lit((PAGE_SIZES.find((size) => size >= limit) ?? limit) + 1);
}

/** Whether the filter asks for more than ranges are made of, so that a range may hold nothing of it. */
export function isBeyondRanges({ type, lineage, resolution, tenant }: RunFilter): boolean {
  return [type, lineage, resolution, tenant].some((values) => values?.length);
}

/** Kept apart from the rest of the filter for the one index that can make use of it. */
function ofTypes({ type }: RunFilter): RawBuilder<SqlBool> {
  return type?.length ? oneOf(sql.ref('type'), type) : sql<SqlBool>`true`;
}

type Selection = Pick<ListRequest, 'filter' | 'scope' | 'asOf'>;

/** The runs under the filter that are past their deadline at `asOf`, from the one table of those that may be. */
export function staleRuns<DB>(db: Kysely<DB>, { filter, scope, asOf }: Selection) {
  const stale: RunFilter = { ...filter, problemClass: ['active_stale_attention'] };
  return (db as unknown as Kysely<{ active_runs: RunListTable }>)
    .selectFrom('active_runs')
    .where(listed({ filter: stale, scope, asOf }));
}
