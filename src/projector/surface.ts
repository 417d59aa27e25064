import type { ClassifiedRun } from '../classifier/classified-run';

/**
 * What a read surface is: tables, and pure functions from one classified run to their content. The engine does all
 * reading, comparing and writing; a surface never sees another's table, the event store or a clock.
 */
export interface Surface {
  /** The folder's name, and `from=` in every link that leaves this surface. */
  readonly name: string;
  /** All that its queries read, besides `run_facts`. Several surfaces may name the same table: see `run-tables.ts`. */
  readonly tables: readonly SurfaceTable[];
}

export type SurfaceTable = KeyedTable | CountedTable;

export type ColumnType = 'text' | 'int' | 'numeric' | 'boolean' | 'timestamptz' | 'json';
export interface Column {
  readonly type: ColumnType;
  readonly nullable?: true;
}
export type Columns = Readonly<Record<string, Column>>;

/** Columns of a cell: one text is made of all of them (see `cellSql`). */
export type CellColumns = Readonly<Record<string, { readonly type: 'text'; readonly nullable?: true }>>;

/** Instants go in as ISO texts, JSON as its text. */
export type Value = string | number | boolean | null;
/** Column name -> value. Columns may not be left out. */
export type Row = Readonly<Record<string, Value>>;

/** At most one row per run: `row` answers it, or null when this surface does not show the run. */
export interface KeyedTable {
  readonly kind: 'keyed';
  readonly name: string;
  /** `workspace_id` and `run_id` are the key and must be among them. */
  readonly columns: Columns;
  /** What PostgreSQL is to index besides the key: the text between the brackets, and a WHERE if it is partial. */
  readonly indexes: readonly Index[];
  row(run: ClassifiedRun): Row | null;
}

/**
 * How many runs fall into each cell. `cells` answers the cells one run counts in (with its facts as they are); the
 * engine adds the difference of after and before to column `n`, and drops cells that reach 0. Every column is key.
 */
export interface CountedTable {
  readonly kind: 'counted';
  readonly name: string;
  readonly columns: CellColumns;
  cells(run: ClassifiedRun): readonly Row[];
}

export interface Index {
  readonly on: string;
  readonly where?: string;
}
