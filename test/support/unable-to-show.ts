import type { ClassifiedRun } from '../../src/classifier/classified-run';
import type { Surface, SurfaceTable } from '../../src/projector/surface';

/** The surfaces as a broken version has them: there are runs that they cannot show. */
export function unableToShow(
  surfaces: readonly Surface[],
  isBad: (run: ClassifiedRun) => boolean,
): Surface[] {
  const refuseBad = (run: ClassifiedRun) => {
    if (isBad(run)) throw new Error('cannot show this');
  };
  const brokenOf = (table: SurfaceTable): SurfaceTable =>
    table.kind === 'keyed'
      ? { ...table, row: (run) => (refuseBad(run), table.row(run)) }
      : { ...table, cells: (run) => (refuseBad(run), table.cells(run)) };
  // A table that several surfaces read stays one.
  const broken = new Map<SurfaceTable, SurfaceTable>();
  for (const table of surfaces.flatMap(({ tables }) => tables))
    if (!broken.has(table)) broken.set(table, brokenOf(table));
  return surfaces.map((surface) => ({
    ...surface,
    tables: surface.tables.map((table) => broken.get(table)!),
  }));
}
