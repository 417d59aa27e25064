import type { PoolClient } from 'pg';
import type { ClassifiedRun } from '../classifier/classified-run';
import { canonicalInstant } from '../events/instant';
import { comparePositions, formatPosition, parsePosition } from '../events/position';
import type { Position } from '../events/position';
import type { Columns, CountedTable, Row, SurfaceTable } from '../projector/surface';
import { cellsOf } from '../projector/surface-content';
import type { SurfaceContent } from '../projector/surface-content';
import type { Differences } from './audit-differences';
import { storedColumns } from './audit-snapshot';

const SCOPE: Columns = { workspace_id: { type: 'text' }, tenant_id: { type: 'text', nullable: true } };

/**
 * What the tables that count many runs together should hold, added up as runs come by. Its memory is that of the counted
 * tables themselves, which grow with places and types and not with runs.
 */
export class Recount {
  private readonly counts = new Map<CountedTable, Map<string, { cell: Row; n: number }>>();
  private readonly positions = new Map<string, { cell: Row; newest: Position }>();

  constructor(private readonly tables: readonly SurfaceTable[]) {
    for (const table of tables) if (table.kind === 'counted') this.counts.set(table, new Map());
  }

  add(run: ClassifiedRun, content: SurfaceContent): void {
    this.tables.forEach((table, index) => {
      if (table.kind !== 'counted') return;
      const cells = this.counts.get(table)!;
      for (const cell of cellsOf(content, index, table)) {
        const key = cellKey(table.columns, cell);
        const held = cells.get(key);
        if (held) held.n += 1;
        else cells.set(key, { cell, n: 1 });
      }
    });
    const cell = { workspace_id: run.facts.workspaceId, tenant_id: run.facts.tenantId };
    const key = cellKey(SCOPE, cell);
    const position = parsePosition(run.position);
    const held = this.positions.get(key);
    // A position that is none makes its scope's differ, and so shows.
    if (!position) return;
    if (!held || comparePositions(position, held.newest) > 0)
      this.positions.set(key, { cell, newest: position });
  }

  async compare(client: PoolClient, schema: string, differences: Differences): Promise<void> {
    for (const [{ name, columns }, expected] of this.counts) {
      const { rows } = await client.query<Row & { n: string }>(
        `select ${storedColumns(columns, 't')}, t.n from ${schema}.${name} t`,
      );
      const stored = new Map(
        rows.map(({ n, ...cell }) => [cellKey(columns, cell), { cell, n: Number(n) }] as const),
      );
      for (const [key, { cell }] of new Map([...expected, ...stored]))
        differences.addCount(name, 'n', cell, stored.get(key)?.n ?? 0, expected.get(key)?.n ?? 0);
    }
    await this.comparePositions(client, schema, differences);
  }

  private async comparePositions(
    client: PoolClient,
    schema: string,
    differences: Differences,
  ): Promise<void> {
    const table = 'scope_positions';
    const { rows } = await client.query<{ workspace_id: string; tenant_id: string | null; position: string }>(
      `select workspace_id, tenant_id, commit || '.' || prepare as position from ${schema}.${table}`,
    );
    const stored = new Map(rows.map(({ position, ...cell }) => [cellKey(SCOPE, cell), { cell, position }]));
    for (const [key, { cell }] of new Map<string, { cell: Row }>([...this.positions, ...stored])) {
      const held = this.positions.get(key);
      const expected = held ? formatPosition(held.newest) : null;
      const found = stored.get(key)?.position ?? null;
      if (found !== expected)
        differences.add({ runId: null, cell, table, column: 'position', stored: found, expected });
    }
  }
}

function cellKey(columns: Columns, cell: Row): string {
  return JSON.stringify(
    Object.entries(columns).map(([name, { type }]) => {
      const value = cell[name] ?? null;
      return type === 'timestamptz' && value !== null ? canonicalInstant(String(value)) : value;
    }),
  );
}
