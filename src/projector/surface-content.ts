import type { ClassifiedRun } from '../classifier/classified-run';
import type { CountedTable, KeyedTable, Row, Surface, SurfaceTable } from './surface';

/** What each table shows of one run, in the order of `tablesOf`: a row or none, or the cells that it counts in. */
export type SurfaceContent = readonly (Row | null | readonly Row[])[];

/** The tables of the surfaces, each once however many of them read it. */
export function tablesOf(surfaces: readonly Surface[]): SurfaceTable[] {
  return [...new Set(surfaces.flatMap((surface) => surface.tables))];
}

export function contentOf(tables: readonly SurfaceTable[], run: ClassifiedRun): SurfaceContent {
  return tables.map((table) => (table.kind === 'keyed' ? table.row(run) : table.cells(run)));
}

/** The part of a content that belongs to a keyed table: `index` is its place in `tablesOf`. */
export function rowOf(content: SurfaceContent, index: number, _table: KeyedTable): Row | null {
  return content[index] as Row | null;
}

export function cellsOf(content: SurfaceContent, index: number, _table: CountedTable): readonly Row[] {
  return content[index] as readonly Row[];
}

/** The content of a run that no table shows. */
export function nothingShown(tables: readonly SurfaceTable[]): SurfaceContent {
  return tables.map((table) => (table.kind === 'keyed' ? null : []));
}
