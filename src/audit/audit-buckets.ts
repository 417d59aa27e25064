import type { PoolClient } from 'pg';
import type { Kysely, RawBuilder } from 'kysely';
import { sql } from 'kysely';
import { problemClassAt } from '../classifier/class-sql';
import type { ProblemClass } from '../domain/classification';
import { PROBLEM_CLASSES } from '../domain/classification';
import type { Instant } from '../events/instant';
import type { Row, SurfaceTable } from '../projector/surface';
import type { Differences } from './audit-differences';

const BUCKETS = [...PROBLEM_CLASSES, 'all'] as const;
type Bucket = (typeof BUCKETS)[number];

/** Runs by class in one place: a tenant's, a workspace's tenantless, or (`tenant_id` absent) a whole workspace's. */
interface Place {
  readonly cell: Row;
  readonly counts: Record<Bucket, number>;
}
type Places = Map<string, Place>;

interface Counted {
  readonly workspace_id: string;
  readonly tenant_id: string | null;
  readonly class: ProblemClass;
  readonly n: number;
}

/** The keyed tables that have a row of every run, and those that have one of every active run. */
export interface TablesShowing {
  readonly all: ReadonlySet<SurfaceTable>;
  readonly active: ReadonlySet<SurfaceTable>;
}

/**
 * At one instant every bucket equals the list behind it, place by place: counted cells with the stale moved from `none`,
 * lists of every run, and the stuck among lists of the active. A class is decided by the SQL that every query uses.
 */
export async function compareBuckets(
  client: PoolClient,
  /** Asked for SQL only: the statements belong into the transaction of `client`. */
  compiler: Kysely<unknown>,
  schema: string,
  { tables, shown }: { readonly tables: readonly SurfaceTable[]; readonly shown: TablesShowing },
  asOf: Instant,
  differences: Differences,
): Promise<void> {
  const byPlace = async (from: string) =>
    placesOf(
      await run<Counted>(
        client,
        compiler,
        sql`select workspace_id, tenant_id, ${problemClassAt(asOf)} as class, count(*)::int as n
            from ${sql.table(`${schema}.${from}`)} group by 1, 2, 3`,
      ),
    );
  const truth = await byPlace('run_facts');
  const inWorkspaces = rolledUp(truth);

  for (const table of tables) {
    const { name, columns } = table;
    const isJudged = ['tenant_id', 'problem_class', 'stale_at'].every((column) => column in columns);
    if (table.kind === 'keyed' && isJudged && shown.active.has(table)) {
      const buckets = shown.all.has(table) ? BUCKETS : (['active_stale_attention'] as const);
      compare(name, await byPlace(name), truth, buckets, differences);
    }
    if (table.kind === 'counted' && 'problem_class' in columns) {
      const expected = 'tenant_id' in columns ? truth : inWorkspaces;
      const cells = await run<Counted>(
        client,
        compiler,
        sql`select workspace_id, ${'tenant_id' in columns ? sql`tenant_id` : sql`null::text as tenant_id`},
                   problem_class as class, sum(n)::int as n
            from ${sql.table(`${schema}.${name}`)} group by 1, 2, 3`,
      );
      compare(name, withStale(placesOf(cells), expected), expected, BUCKETS, differences);
    }
  }
}

async function run<T>(
  client: PoolClient,
  compiler: Kysely<unknown>,
  query: RawBuilder<unknown>,
): Promise<T[]> {
  const { sql: text, parameters } = query.compile(compiler);
  return (await client.query<T & Row>(text, [...parameters])).rows;
}

function compare(
  table: string,
  stored: Places,
  expected: Places,
  buckets: readonly Bucket[],
  differences: Differences,
): void {
  for (const [key, { cell }] of new Map([...expected, ...stored]))
    for (const bucket of buckets)
      differences.addCount(
        table,
        `${bucket} at the instant`,
        cell,
        stored.get(key)?.counts[bucket] ?? 0,
        expected.get(key)?.counts[bucket] ?? 0,
      );
}

/** What a page makes of counted cells: time moves runs past their deadline from `none`, and changes nothing else. */
function withStale(cells: Places, truth: Places): Places {
  return new Map(
    [...cells].map(([key, { cell, counts }]) => {
      const stale = truth.get(key)?.counts.active_stale_attention ?? 0;
      const moved = { ...counts, none: counts.none - stale, active_stale_attention: stale };
      return [key, { cell, counts: moved }];
    }),
  );
}

function placesOf(rows: readonly Counted[]): Places {
  const places: Places = new Map();
  for (const { workspace_id, tenant_id, class: problemClass, n } of rows)
    add(places, { workspace_id, tenant_id }, { [problemClass]: n, all: n });
  return places;
}

/** A workspace is the sum of its tenants and of what has none. */
function rolledUp(tenants: Places): Places {
  const workspaces: Places = new Map();
  for (const { cell, counts } of tenants.values())
    add(workspaces, { workspace_id: cell.workspace_id!, tenant_id: null }, counts);
  return workspaces;
}

function add(places: Places, cell: Row, counts: Partial<Record<Bucket, number>>): void {
  const key = JSON.stringify([cell.workspace_id, cell.tenant_id]);
  const empty = { none: 0, active_stale_attention: 0, terminal_follow_up: 0, all: 0 };
  const place = places.get(key) ?? { cell, counts: empty };
  for (const bucket of BUCKETS) place.counts[bucket] += counts[bucket] ?? 0;
  places.set(key, place);
}
