import { classColumns } from '../classifier/class-sql';
import type { ClassifiedRun } from '../classifier/classified-run';
import { binaryArray, JSON_OID, TEXT_OID } from '../event-store/postgres-binary-array';
import { factsJson } from '../classifier/facts-document';
import { parsePosition } from '../events/position';
import type { ParkedLetter, RunChange } from './fold-batch';
import { SQL_TYPES } from './generation-schema';
import type { Column, Columns, CountedTable, KeyedTable, Row, SurfaceTable, Value } from './surface';
import { cellsOf, rowOf } from './surface-content';

/** One statement with its parameters, ready to be sent; every parameter is an array, one element per row. */
export interface Statement {
  readonly name: string;
  readonly text: string;
  readonly values: (string | Buffer)[];
}

/**
 * Turns the changes of a batch into set-based statements, at most two per table and none per run: upserts, deletes of
 * runs that a surface no longer shows, and counter deltas. No two of them touch the same row, so their order is free.
 */
export function batchStatements(
  schema: string,
  tables: readonly SurfaceTable[],
  changes: ReadonlyMap<string, RunChange>,
  letters: readonly ParkedLetter[],
): Statement[] {
  const runs = [...changes.values()];
  const classified = runs.map(({ after }) => after);
  const statements: (Statement | null)[] = [
    factsUpsert(schema, classified),
    scopePositionsUpsert(schema, classified),
    parkedUpsert(schema, letters),
  ];
  tables.forEach((table, index) => {
    if (table.kind === 'counted') statements.push(...countedStatements(schema, table, index, runs));
    else {
      const shown = runs.map(({ content }) => rowOf(content, index, table)).filter((row) => row !== null);
      statements.push(
        upsert(schema, table, shown, ['workspace_id', 'run_id']),
        removal(schema, table, index, runs),
      );
    }
  });
  return statements.filter((statement) => statement !== null);
}

export function factsUpsert(schema: string, runs: readonly ClassifiedRun[]): Statement | null {
  return upsert(schema, FACTS, runs.map(factsRow), ['run_id']);
}

/** A parked event that is applied late must not take its scope back to where that event stood. */
export function scopePositionsUpsert(schema: string, runs: readonly ClassifiedRun[]): Statement | null {
  const newer = '(t.commit, t.prepare) < (excluded.commit, excluded.prepare)';
  return upsert(schema, SCOPE_POSITIONS, scopePositionRows(runs), ['workspace_id', 'tenant_id'], newer);
}

export function parkedUpsert(schema: string, letters: readonly ParkedLetter[]): Statement | null {
  return upsert(schema, PARKED, letters.map(letterRow), ['stream_id', 'revision']);
}

/** Row of `run_facts`: what the engine itself remembers of a run. */
export function factsRow(run: ClassifiedRun): Row {
  const { facts, timeline } = run;
  return {
    run_id: facts.runId,
    workspace_id: facts.workspaceId,
    tenant_id: facts.tenantId,
    facts: factsJson(facts),
    position: run.position,
    incomplete: run.incomplete,
    active: facts.status !== 'completed',
    reconcile_due_at: timeline.reconcileDueAt,
    ...classColumns(run),
  };
}

/** A table as far as writing its rows goes. */
export interface EngineTable {
  readonly name: string;
  readonly columns: Columns;
}

export const FACTS: EngineTable = {
  name: 'run_facts',
  columns: {
    run_id: { type: 'text' },
    workspace_id: { type: 'text' },
    tenant_id: { type: 'text', nullable: true },
    facts: { type: 'json' },
    position: { type: 'text' },
    incomplete: { type: 'boolean' },
    active: { type: 'boolean' },
    reconcile_due_at: { type: 'timestamptz', nullable: true },
    problem_class: { type: 'text' },
    stale_at: { type: 'timestamptz', nullable: true },
  },
};

const SCOPE_POSITIONS: EngineTable = {
  name: 'scope_positions',
  columns: {
    workspace_id: { type: 'text' },
    tenant_id: { type: 'text', nullable: true },
    commit: { type: 'numeric' },
    prepare: { type: 'numeric' },
  },
};

const PARKED: EngineTable = {
  name: 'parked_events',
  columns: {
    stream_id: { type: 'text' },
    revision: { type: 'int' },
    event_type: { type: 'text' },
    commit: { type: 'numeric' },
    prepare: { type: 'numeric' },
    cause: { type: 'text', nullable: true },
  },
};

/** The newest position per (workspace, tenant): what a reader of that scope may know of the log's progress. */
function scopePositionRows(runs: readonly ClassifiedRun[]): Row[] {
  const newest = new Map<string, { run: ClassifiedRun; commit: bigint; prepare: bigint }>();
  for (const run of runs) {
    const position = parsePosition(run.position)!;
    const key = JSON.stringify([run.facts.workspaceId, run.facts.tenantId]);
    const held = newest.get(key);
    if (
      !held ||
      position.commit > held.commit ||
      (position.commit === held.commit && position.prepare > held.prepare)
    )
      newest.set(key, { run, ...position });
  }
  return [...newest.values()].map(({ run, commit, prepare }) => ({
    workspace_id: run.facts.workspaceId,
    tenant_id: run.facts.tenantId,
    commit: String(commit),
    prepare: String(prepare),
  }));
}

function letterRow({ event, cause }: ParkedLetter): Row {
  return {
    stream_id: event.streamId,
    revision: event.revision,
    event_type: event.type,
    commit: String(event.position.commit),
    prepare: String(event.position.prepare),
    cause,
  };
}

/** Takes runs out that the surface showed before the batch and does not show after it. */
function removal(
  schema: string,
  table: KeyedTable,
  index: number,
  runs: readonly RunChange[],
): Statement | null {
  const gone = runs.filter(
    ({ before, content }) =>
      before !== null && rowOf(content, index, table) === null && table.row(before) !== null,
  );
  if (gone.length === 0) return null;
  return {
    name: `${schema}.${table.name} remove`,
    text: `delete from ${schema}.${table.name} t using unnest($1::text[], $2::text[]) as gone (workspace_id, run_id)
           where t.workspace_id = gone.workspace_id and t.run_id = gone.run_id`,
    values: [
      arrayLiteral(gone.map(({ after }) => after.facts.workspaceId)),
      arrayLiteral(gone.map(({ after }) => after.facts.runId)),
    ],
  };
}

function countedStatements(
  schema: string,
  table: CountedTable,
  index: number,
  runs: readonly RunChange[],
): (Statement | null)[] {
  const deltas = new Map<string, { row: Row; n: number }>();
  const add = (row: Row, n: number) => {
    const key = cellKey(row);
    const cell = deltas.get(key);
    if (cell) cell.n += n;
    else deltas.set(key, { row, n });
  };
  for (const { before, content } of runs) {
    for (const row of cellsOf(content, index, table)) add(row, 1);
    if (before) for (const row of table.cells(before)) add(row, -1);
  }
  const moved = [...deltas.values()].filter(({ n }) => n !== 0);
  if (moved.length === 0) return [];
  const names = Object.keys(table.columns);
  const columns = { ...table.columns, n: { type: 'int' } satisfies Column };
  const counts: Statement = {
    name: `${schema}.${table.name} count`,
    text: `insert into ${schema}.${table.name} as t (${[...names, 'n'].join(', ')})
           select * from ${unnestSql(columns)}
           on conflict (${names.join(', ')}) do update set n = t.n + excluded.n`,
    values: columnArrays(
      columns,
      moved.map(({ row, n }) => ({ ...row, n })),
    ),
  };
  const empty: Statement | null = moved.some(({ n }) => n < 0)
    ? {
        name: `${schema}.${table.name} empty`,
        text: `delete from ${schema}.${table.name} where n = 0`,
        values: [],
      }
    : null;
  return [counts, empty];
}

function upsert(
  schema: string,
  table: { readonly name: string; readonly columns: Columns },
  rows: readonly Row[],
  key: readonly string[],
  onlyIf?: string,
): Statement | null {
  if (rows.length === 0) return null;
  const names = Object.keys(table.columns);
  const changed = names.filter((name) => !key.includes(name)).map((name) => `${name} = excluded.${name}`);
  return {
    name: `${schema}.${table.name} upsert`,
    text: `insert into ${schema}.${table.name} as t (${names.join(', ')})
           select * from ${unnestSql(table.columns)}
           on conflict (${key.join(', ')}) do update set ${changed.join(', ')}${onlyIf ? ` where ${onlyIf}` : ''}`,
    values: columnArrays(table.columns, rows),
  };
}

function unnestSql(columns: Columns): string {
  const arrays = Object.values(columns).map((column, index) => `$${index + 1}::${SQL_TYPES[column.type]}[]`);
  return `unnest(${arrays.join(', ')})`;
}

function columnArrays(columns: Columns, rows: readonly Row[]): (string | Buffer)[] {
  return Object.entries(columns).map(([name, { type }]) => {
    // Texts are most of what is written, and cheap in this form: nothing in them needs quoting.
    if (type === 'text' || type === 'json')
      return binaryArray(type === 'text' ? TEXT_OID : JSON_OID, rows, (row) => row[name] as string | null);
    return arrayLiteral(rows.map((row) => row[name] as Value));
  });
}

/** One text per cell. Ids hold no control characters, so neither the separator nor the mark of null can be in them. */
export function cellKey(row: Row): string {
  let key = '';
  for (const name in row) key += `${row[name] ?? '\u0002'}\u0001`;
  return key;
}

/** A PostgreSQL array literal. Written here because a statement's arrays hold thousands of rows: one pass, no copy. */
export function arrayLiteral(values: readonly Value[]): string {
  let text = '{';
  for (let index = 0; index < values.length; index++) {
    const value = values[index];
    if (index > 0) text += ',';
    if (value === null || value === undefined) text += 'NULL';
    else if (typeof value === 'string') text += quoted(value);
    else text += String(value);
  }
  return text + '}';
}

function quoted(value: string): string {
  return /["\\]/.test(value) ? `"${value.replace(/["\\]/g, '\\$&')}"` : `"${value}"`;
}
