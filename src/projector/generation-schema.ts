import { createHash } from 'node:crypto';
import type { Column, CountedTable, Surface, SurfaceTable } from './surface';
import { tablesOf } from './surface-content';

/** Moves when `evolve` or the engine's own tables change, so that a generation folded by older code is not continued. */
const FOLD_VERSION = 3;

/** Room for heartbeats and counts to update rows in place, and clean-up early enough that counting stays index-only. */
const STORAGE =
  'with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05)';

/**
 * Ids are others' words, ordered by code point whatever the database's locale: lists have the same order on every server, an
 * upgrade of its locales breaks no index, and comparing is cheap.
 */
const TEXT = 'text collate "C"';

/** The engine's own tables: what every generation needs whatever its surfaces. */
function engineTables(schema: string): string[] {
  return [
    `create table ${schema}.run_facts (
  run_id ${TEXT} not null, workspace_id ${TEXT} not null, tenant_id ${TEXT}, facts json not null, run json not null,
  position text not null, incomplete boolean not null, active boolean not null, reconcile_due_at timestamptz,
  problem_class ${TEXT} not null, stale_at timestamptz) ${STORAGE}`,
    `create table ${schema}.scope_positions (
  workspace_id ${TEXT} not null, tenant_id ${TEXT}, commit numeric(20) not null, prepare numeric(20) not null)`,
    `create unique index scope_positions_key on ${schema}.scope_positions (workspace_id, tenant_id) nulls not distinct`,
    `create table ${schema}.parked_events (
  stream_id ${TEXT} not null, revision int not null, event_type text not null,
  commit numeric(20) not null, prepare numeric(20) not null,
  cause text, parked_at timestamptz not null default now(), primary key (stream_id, revision))`,
  ];
}

/** The key and index of `run_facts`: whoever folds needs them from the beginning, whoever copies it makes them afterwards. */
export function runFactsIndexesSql(schema: string): string[] {
  return [
    `create unique index run_facts_key on ${schema}.run_facts (run_id)`,
    // `active` and not the due instant is what the index knows: a heartbeat then leaves all indexes alone.
    `create index run_facts_active on ${schema}.run_facts (run_id) where active`,
  ];
}

/** The statement that makes a table, without its key and indexes: a bulk load comes before those. */
function createTableSql(schema: string, table: SurfaceTable): string {
  const columns = Object.entries(table.columns).map(([name, column]) => `${name} ${columnSql(column)}`);
  const qualified = `${schema}.${table.name}`;
  return table.kind === 'keyed'
    ? `create table ${qualified} (${columns.join(', ')}) ${STORAGE}`
    : `create table ${qualified} (${columns.join(', ')}, n bigint not null) ${STORAGE}`;
}

/**
 * All columns of a cell as one text. What the key of a counted table is made of: one short comparison finds a cell, and
 * counting, which changes `n` alone, leaves every index alone. Ids hold no control characters, so that no two cells have
 * the same text.
 */
export function cellSql({ columns }: CountedTable, table?: string): string {
  const prefix = table === undefined ? '' : `${table}.`;
  return Object.entries(columns)
    .map(([name, { nullable }]) => (nullable ? `coalesce(${prefix}${name}, chr(2))` : `${prefix}${name}`))
    .join(' || chr(1) || ');
}

/** The columns that readers of counts ask by. */
const PLACE = ['workspace_id', 'tenant_id'];

/** The statements that make a table's key and indexes. */
export function tableIndexesSql(schema: string, table: SurfaceTable): string[] {
  const { name } = table;
  const qualified = `${schema}.${name}`;
  if (table.kind === 'counted')
    return [
      `create unique index ${name}_cell on ${qualified} ((${cellSql(table)}))`,
      `create index ${name}_place on ${qualified} (${PLACE.filter((column) => column in table.columns).join(', ')})`,
    ];
  return [
    `create unique index ${name}_key on ${qualified} (workspace_id, run_id)`,
    ...table.indexes.map(
      ({ on, where }, index) =>
        `create index ${name}_${index + 1} on ${qualified} (${on})${where ? ` where ${where}` : ''}`,
    ),
  ];
}

/** The schema, the engine's own tables, and those of the surfaces; keys and indexes come apart. */
export function tablesSql(schema: string, surfaces: readonly Surface[]): string[] {
  return [
    `create schema ${schema}`,
    ...engineTables(schema),
    ...tablesOf(surfaces).map((table) => createTableSql(schema, table)),
  ];
}

/** The keys and indexes, each to be made on its own. */
export function indexesSql(schema: string, surfaces: readonly Surface[]): string[] {
  return [
    ...runFactsIndexesSql(schema),
    ...tablesOf(surfaces).flatMap((table) => tableIndexesSql(schema, table)),
  ];
}

/** Equal digests mean: this binary can go on with the generation's tables. */
export function surfacesDigest(surfaces: readonly Surface[]): string {
  return createHash('sha256')
    .update(
      JSON.stringify([FOLD_VERSION, tablesSql('generation', surfaces), indexesSql('generation', surfaces)]),
    )
    .digest('hex');
}

export const SQL_TYPES = {
  text: 'text',
  int: 'int',
  numeric: 'numeric',
  boolean: 'boolean',
  timestamptz: 'timestamptz',
  json: 'json',
} as const;

function columnSql({ type, nullable }: Column): string {
  return `${type === 'text' ? TEXT : SQL_TYPES[type]}${nullable ? '' : ' not null'}`;
}
