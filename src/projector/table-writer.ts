import type { QueryConfig } from 'pg';
import type { ClassifiedRun } from '../classifier/classified-run';
import { binaryArray, JSON_OID, TEXT_OID } from '../event-store/postgres-arrays';
import type { StatementNames } from '../db/statement-names';
import { FACTS, factsRow, letterRow, PARKED, SCOPE_POSITIONS, scopePositionRows } from './engine-rows';
import type { EngineTable } from './engine-rows';
import type { ParkedLetter, RunChange } from './fold-batch';
import { cellSql, SQL_TYPES } from './generation-schema';
import type { Column, Columns, CountedTable, KeyedTable, Row, SurfaceTable, Value } from './surface';
import { cellsOf, rowOf } from './surface-content';

/** One statement with its parameters, ready to be sent; every parameter is an array, one element per row. */
export interface Statement {
  readonly name: string;
  readonly text: string;
  readonly values: (string | Buffer)[];
  /** What each value is: values of one kind may be the same one, where tables show the same. */
  readonly kinds: readonly string[];
}

export interface BatchStatements {
  readonly writes: readonly Statement[];
  /** Clear away what the writes have emptied. */
  readonly sweeps: readonly Statement[];
}

/**
 * Turns the changes of a batch into set-based statements, at most three per table and none per run: inserts of runs that a
 * surface shows from now on, updates of rows that are no longer the same, deletes of runs that it shows no more, and counter
 * deltas. No two of the writes touch the same row, so their order is free. What is in the tables is known and not looked for:
 * a row that should not be there fails the batch.
 */
export function batchStatements(
  schema: string,
  tables: readonly SurfaceTable[],
  changes: ReadonlyMap<string, RunChange>,
  letters: readonly ParkedLetter[],
): BatchStatements {
  const runs = [...changes.values()];
  const arrays = new ColumnArrays();
  const [known, unknown] = [runs.filter(isKnown), runs.filter((run) => !isKnown(run))];
  const writes: (Statement | null)[] = [
    insert(schema, FACTS, unknown.map(factsAfter), arrays),
    update(schema, FACTS, known.map(factsAfter), ['run_id'], arrays),
    scopePositionsUpsert(
      schema,
      runs.map(({ after }) => after),
    ),
    parkedUpsert(schema, letters),
  ];
  const sweeps: Statement[] = [];
  tables.forEach((table, index) => {
    if (table.kind === 'counted') {
      const moved = movedCells(table, index, runs);
      if (moved.length > 0) writes.push(countMoved(schema, table, moved));
      const left = moved.filter(({ n }) => n < 0);
      if (left.length > 0) sweeps.push(sweep(schema, table, left));
    } else {
      const { added, changed, gone } = movedRows(table, index, runs);
      writes.push(
        insert(schema, table, added, arrays),
        update(schema, table, changed, ['workspace_id', 'run_id'], arrays),
        remove(schema, table, gone),
      );
    }
  });
  return { writes: writes.filter((statement) => statement !== null), sweeps };
}

function isKnown({ before }: RunChange): boolean {
  return before !== null;
}

function factsAfter({ after }: RunChange): Row {
  return factsRow(after);
}

/** A batch as the queries that its connection sends, each form of them under a name of its own. */
export function batchQueries({ writes, sweeps }: BatchStatements, names: StatementNames): QueryConfig[] {
  return [writes, sweeps]
    .filter((statements) => statements.length > 0)
    .map(asOne)
    .map((query) => ({ ...names.of(query.text), ...query }));
}

/**
 * All of them as one statement, which sends what they have in common once and costs the server and the client the
 * overhead of one. They see the tables as they were before it, so no two may touch the same row.
 */
function asOne(statements: readonly Statement[]): { text: string; values: (string | Buffer)[] } {
  const values: (string | Buffer)[] = [];
  const places = new Map<string, number[]>();
  const placeOf = (value: string | Buffer, kind: string): number => {
    const held = places.get(kind) ?? [];
    let place = held.find((index) => values[index] === value);
    if (place === undefined) {
      place = values.push(value) - 1;
      places.set(kind, [...held, place]);
    }
    return place + 1;
  };
  const parts = statements.map((statement, nth) => {
    const numbers = statement.values.map((value, index) => placeOf(value, statement.kinds[index]!));
    const text = statement.text.replace(
      /\$(\d+)/g,
      (_parameter, number) => `$${numbers[Number(number) - 1]}`,
    );
    return `s${nth} as (${text})`;
  });
  return { text: `with ${parts.join(', ')} select`, values };
}

/** Of runs whose facts the generation has already. */
export function factsUpdate(schema: string, runs: readonly ClassifiedRun[]): Statement | null {
  return update(schema, FACTS, runs.map(factsRow), ['run_id'], new ColumnArrays());
}

/** A parked event that is applied late must not take its scope back to where that event stood. */
export function scopePositionsUpsert(schema: string, runs: readonly ClassifiedRun[]): Statement | null {
  const newer = '(t.commit, t.prepare) < (excluded.commit, excluded.prepare)';
  const key = ['workspace_id', 'tenant_id'];
  return upsert(schema, SCOPE_POSITIONS, scopePositionRows(runs), key, newer);
}

export function parkedUpsert(schema: string, letters: readonly ParkedLetter[]): Statement | null {
  return upsert(schema, PARKED, letters.map(letterRow), ['stream_id', 'revision']);
}

/** Rows that the batch makes or changes, and runs that the surface showed before it and does not show any more. */
function movedRows(
  table: KeyedTable,
  index: number,
  runs: readonly RunChange[],
): { readonly added: Row[]; readonly changed: Row[]; readonly gone: ClassifiedRun[] } {
  const added: Row[] = [];
  const changed: Row[] = [];
  const gone: ClassifiedRun[] = [];
  for (const { after, contentBefore, content } of runs) {
    const row = rowOf(content, index, table);
    const held = contentBefore && rowOf(contentBefore, index, table);
    if (!row) {
      if (held) gone.push(after);
    } else if (!held) added.push(row);
    else if (!isSameRow(row, held)) changed.push(row);
  }
  return { added, changed, gone };
}

function remove(schema: string, table: KeyedTable, gone: readonly ClassifiedRun[]): Statement | null {
  if (gone.length === 0) return null;
  return {
    name: `${schema}.${table.name} remove`,
    text: `delete from ${schema}.${table.name} t using unnest($1::text[], $2::text[]) as gone (workspace_id, run_id)
           where t.workspace_id = gone.workspace_id and t.run_id = gone.run_id`,
    values: [
      arrayLiteral(gone.map(({ facts }) => facts.workspaceId)),
      arrayLiteral(gone.map(({ facts }) => facts.runId)),
    ],
    kinds: ['workspace_id of the gone', 'run_id of the gone'],
  };
}

function isSameRow(a: Row, b: Row): boolean {
  for (const name in a) if (a[name] !== b[name]) return false;
  return true;
}

interface MovedCell {
  readonly row: Row;
  readonly n: number;
}

/** By how many runs each cell changes, of those that do. */
function movedCells(table: CountedTable, index: number, runs: readonly RunChange[]): MovedCell[] {
  const deltas = new Map<string, { row: Row; n: number }>();
  const add = (row: Row, n: number) => {
    const key = cellKey(row);
    const cell = deltas.get(key);
    if (cell) cell.n += n;
    else deltas.set(key, { row, n });
  };
  for (const { contentBefore, content } of runs) {
    const cells = cellsOf(content, index, table);
    const left = contentBefore ? cellsOf(contentBefore, index, table) : [];
    // Most events leave a run where it is counted.
    if (cells.length === left.length && cells.every((row, nth) => isSameRow(row, left[nth]!))) continue;
    for (const row of cells) add(row, 1);
    for (const row of left) add(row, -1);
  }
  return [...deltas.values()].filter(({ n }) => n !== 0);
}

function countMoved(schema: string, table: CountedTable, moved: readonly MovedCell[]): Statement {
  const names = Object.keys(table.columns);
  const columns = { ...table.columns, n: { type: 'int' } satisfies Column };
  const { values, kinds } = new ColumnArrays().of(
    table.columns,
    moved.map(({ row }) => row),
  );
  return {
    name: `${schema}.${table.name} count`,
    text: `insert into ${schema}.${table.name} as t (${[...names, 'n'].join(', ')})
           select * from ${unnestSql(columns)}
           on conflict ((${cellSql(table)})) do update set n = t.n + excluded.n`,
    values: [...values, arrayLiteral(moved.map(({ n }) => n))],
    kinds: [...kinds, 'n int'],
  };
}

/** Takes away those of the cells that nobody counts in any more. */
function sweep(schema: string, table: CountedTable, left: readonly MovedCell[]): Statement {
  const rows = left.map(({ row }) => row);
  return {
    name: `${schema}.${table.name} sweep`,
    text: `delete from ${schema}.${table.name} t
           using ${unnestSql(table.columns)} as moved (${Object.keys(table.columns).join(', ')})
           where ${cellSql(table, 't')} = ${cellSql(table, 'moved')} and t.n = 0`,
    ...new ColumnArrays().of(table.columns, rows),
  };
}

function insert(
  schema: string,
  table: EngineTable,
  rows: readonly Row[],
  arrays: ColumnArrays,
): Statement | null {
  if (rows.length === 0) return null;
  return {
    name: `${schema}.${table.name} insert`,
    text: `insert into ${schema}.${table.name} (${Object.keys(table.columns).join(', ')}) select * from ${unnestSql(table.columns)}`,
    ...arrays.of(table.columns, rows),
  };
}

function update(
  schema: string,
  table: EngineTable,
  rows: readonly Row[],
  key: readonly string[],
  arrays: ColumnArrays,
): Statement | null {
  if (rows.length === 0) return null;
  const names = Object.keys(table.columns);
  const changed = names.filter((name) => !key.includes(name)).map((name) => `${name} = moved.${name}`);
  return {
    name: `${schema}.${table.name} update`,
    text: `update ${schema}.${table.name} t set ${changed.join(', ')}
           from ${unnestSql(table.columns)} as moved (${names.join(', ')})
           where ${key.map((name) => `t.${name} = moved.${name}`).join(' and ')}`,
    ...arrays.of(table.columns, rows),
  };
}

function upsert(
  schema: string,
  table: EngineTable,
  rows: readonly Row[],
  key: readonly string[],
  onlyIf = 'true',
): Statement | null {
  if (rows.length === 0) return null;
  const names = Object.keys(table.columns);
  const changed = names.filter((name) => !key.includes(name)).map((name) => `${name} = excluded.${name}`);
  return {
    name: `${schema}.${table.name} upsert`,
    text: `insert into ${schema}.${table.name} as t (${names.join(', ')})
           select * from ${unnestSql(table.columns)}
           on conflict (${key.join(', ')}) do update set ${changed.join(', ')} where ${onlyIf}`,
    ...new ColumnArrays().of(table.columns, rows),
  };
}

function unnestSql(columns: Columns): string {
  const arrays = Object.values(columns).map((column, index) => `$${index + 1}::${SQL_TYPES[column.type]}[]`);
  return `unnest(${arrays.join(', ')})`;
}

/** The arrays of one batch. Tables that show the same of the same runs share them: each is made and sent once. */
class ColumnArrays {
  private readonly made = new Map<string, { readonly column: Value[]; readonly array: string | Buffer }[]>();

  of(columns: Columns, rows: readonly Row[]): Pick<Statement, 'values' | 'kinds'> {
    const kinds: string[] = [];
    const values = Object.entries(columns).map(([name, { type }]) => {
      const kind = `${name} ${type}`;
      kinds.push(kind);
      return this.array(
        kind,
        type,
        rows.map((row) => row[name] as Value),
      );
    });
    return { values, kinds };
  }

  private array(kind: string, type: Column['type'], column: Value[]): string | Buffer {
    const known = this.made.get(kind) ?? [];
    const same = known.find((one) => isSameColumn(one.column, column));
    if (same) return same.array;
    const array = arrayOf(type, column);
    this.made.set(kind, [...known, { column, array }]);
    return array;
  }
}

function isSameColumn(a: readonly Value[], b: readonly Value[]): boolean {
  return a.length === b.length && a.every((value, index) => value === b[index]);
}

function arrayOf(type: Column['type'], column: readonly Value[]): string | Buffer {
  // Texts are most of what is written, and cheap in this form: nothing in them needs quoting.
  if (type === 'text' || type === 'json')
    return binaryArray(type === 'text' ? TEXT_OID : JSON_OID, column, (value) => value as string | null);
  return arrayLiteral(column);
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
