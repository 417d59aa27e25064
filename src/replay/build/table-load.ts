import type { PoolClient } from 'pg';
import type { ClassifiedRun } from '../../classifier/classified-run';
import { copyIn, copyText } from '../../projector/copy-rows';
import type { Columns, Row, Surface } from '../../projector/surface';
import { cellsOf, contentOf, rowOf, tablesOf } from '../../projector/surface-content';
import type { SurfaceContent } from '../../projector/surface-content';
import { cellKey } from '../../projector/table-writer';

/** What goes into one table by COPY. */
export interface TableText {
  readonly name: string;
  readonly columns: Columns;
  readonly text: string;
}

/**
 * Makes what empty read tables hold from what they show of runs in their final state, each given once. Rows come page by
 * page, counts at the end. Whoever uses it sends the texts.
 */
export class TableLoad {
  private readonly tables;
  private readonly counts;

  constructor(surfaces: readonly Surface[]) {
    this.tables = tablesOf(surfaces);
    this.counts = this.tables.map(() => new Map<string, { readonly row: Row; n: number }>());
  }

  /** Throws what a surface throws that cannot show the run. */
  contentOf(run: ClassifiedRun): SurfaceContent {
    return contentOf(this.tables, run);
  }

  /** Counts them, and answers their rows. */
  add(contents: readonly SurfaceContent[]): TableText[] {
    this.count(contents);
    return this.tables.flatMap((table, index) => {
      if (table.kind === 'counted') return [];
      const rows = contents.map((content) => rowOf(content, index, table)).filter((row) => row !== null);
      return [{ name: table.name, columns: table.columns, text: copyText(table.columns, rows) }];
    });
  }

  /** Of runs whose rows are in the tables already. */
  count(contents: readonly SurfaceContent[]): void {
    this.tables.forEach((table, index) => {
      if (table.kind === 'keyed') return;
      for (const content of contents)
        for (const row of cellsOf(content, index, table)) count(this.counts[index]!, row);
    });
  }

  /** The counted tables, of all pages. */
  counted(): TableText[] {
    return this.tables.flatMap((table, index) => {
      if (table.kind === 'keyed') return [];
      const rows = [...this.counts[index]!.values()].map(({ row, n }) => ({ ...row, n }));
      const columns: Columns = { ...table.columns, n: { type: 'int' } };
      return [{ name: table.name, columns, text: copyText(columns, rows) }];
    });
  }
}

export async function sendTexts(
  client: PoolClient,
  schema: string,
  texts: readonly TableText[],
): Promise<void> {
  for (const { name, columns, text } of texts) await copyIn(client, `${schema}.${name}`, columns, text);
}

function count(cells: Map<string, { readonly row: Row; n: number }>, row: Row): void {
  const key = cellKey(row);
  const cell = cells.get(key);
  if (cell) cell.n += 1;
  else cells.set(key, { row, n: 1 });
}
