import { sql } from 'kysely';
import type { Expression, RawBuilder, SqlBool } from 'kysely';

/** One value is an equality, because an index that is ordered within that value then serves a list without a sort. */
export function oneOf(column: Expression<unknown>, values: readonly string[]): RawBuilder<SqlBool> {
  return values.length === 1
    ? sql<SqlBool>`${column} = ${values[0]}`
    : sql<SqlBool>`${column} = any(${values}::text[])`;
}
