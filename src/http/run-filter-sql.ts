import type { Expression, RawBuilder, SqlBool } from 'kysely';
import { sql } from 'kysely';
import { hasProblemClass } from '../classifier/class-sql';
import { oneOf } from '../db/one-of';
import { TENANT_TEXT } from '../projector/run-columns';
import type { RunFilter } from './run-filter';

const COLUMN_OF = {
  workspace: 'workspace_id',
  type: 'type',
  status: 'status',
  outcome: 'outcome',
  lineage: 'lineage',
  resolution: 'resolution',
} as const;

/**
 * The filter as one condition on the columns of `RunFilterTable` plus `stale_at`, at an instant. Only members that are
 * present are written, so a table needs only the columns that its list filters by.
 */
export function matches(filter: RunFilter, asOf: string): RawBuilder<SqlBool> {
  const conditions = conditionsOn(filter);
  if (filter.tenant?.length) conditions.push(oneOf(tenantText, filter.tenant));
  if (filter.problemClass?.length) conditions.push(hasProblemClass(filter.problemClass, asOf));
  return all(conditions);
}

/** The same on counted cells, by stored class: a cell knows no instant, so runs past their deadline count as `none`. */
export function matchesCell(filter: RunFilter): RawBuilder<SqlBool> {
  const conditions = conditionsOn(filter);
  if (filter.problemClass?.length) conditions.push(oneOf(sql.ref('problem_class'), filter.problemClass));
  if (filter.tenant?.length) conditions.push(ofTenants(filter.tenant));
  return all(conditions);
}

export function all(conditions: readonly Expression<SqlBool>[]): RawBuilder<SqlBool> {
  return conditions.length === 0 ? sql<SqlBool>`true` : sql<SqlBool>`(${sql.join(conditions, sql` and `)})`;
}

function conditionsOn(filter: RunFilter): Expression<SqlBool>[] {
  const conditions: Expression<SqlBool>[] = [];
  for (const [field, column] of Object.entries(COLUMN_OF)) {
    const values = filter[field as keyof typeof COLUMN_OF];
    if (values?.length) conditions.push(oneOf(sql.ref(column), values));
  }
  // `outcome` and not `status`: a run is pending exactly until it completes, and outcomes are what indexes are made of.
  if (filter.active !== undefined)
    conditions.push(filter.active ? sql<SqlBool>`outcome = 'pending'` : sql<SqlBool>`outcome <> 'pending'`);
  return conditions;
}

/** A run of no tenant has the filter's own word for it, the empty text; indexes hold the same expression. */
export const tenantText = sql.raw<string>(TENANT_TEXT);

/** On the bare column, which is what the key of a counted table begins with after the workspace. */
function ofTenants(tenants: readonly string[]): RawBuilder<SqlBool> {
  const named = tenants.filter((tenant) => tenant !== '');
  const ofNamed = named.length > 0 ? [oneOf(sql.ref('tenant_id'), named)] : [];
  const ofNone = named.length < tenants.length ? [sql<SqlBool>`tenant_id is null`] : [];
  return sql<SqlBool>`(${sql.join([...ofNamed, ...ofNone], sql` or `)})`;
}
