import type { Pool } from 'pg';
import type { ClassifiedRun } from '../src/classifier/classified-run';
import type { Position } from '../src/events/position';
import { copyRows } from '../src/projector/copy-rows';
import type { Generation } from '../src/projector/generations';
import type { Columns, Row, Surface } from '../src/projector/surface';
import { cellsOf, contentOf, rowOf, tablesOf } from '../src/projector/surface-content';
import { FACTS, factsRow } from '../src/projector/table-writer';
import { inLanes } from './in-parallel';

export interface TableLoader {
  /** Writes runs, each to be given once and in its final state. */
  add(runs: readonly ClassifiedRun[]): Promise<void>;
  /** Writes counts, indexes, statistics and the checkpoint. */
  finish(checkpoint: Position): Promise<void>;
}

interface Load {
  readonly table: string;
  readonly columns: Columns;
  readonly rows: readonly Row[];
}

/** Indexes made at the same time. */
const INDEX_LANES = 2;

const SCOPE_POSITIONS = {
  table: 'scope_positions',
  columns: {
    workspace_id: { type: 'text' },
    tenant_id: { type: 'text', nullable: true },
    commit: { type: 'numeric' },
    prepare: { type: 'numeric' },
  },
} as const satisfies Omit<Load, 'rows'>;

/**
 * Fills an empty generation with what the surfaces' own functions make of runs, table by table, without a log. While
 * PostgreSQL takes one chunk the caller makes the next.
 */
export async function openTableLoader(
  pool: Pool,
  { id, schema }: Generation,
  surfaces: readonly Surface[],
): Promise<TableLoader> {
  const tables = tablesOf(surfaces);
  const counts = tables.map(() => new Map<string, { readonly row: Row; n: number }>());
  const scopes = new Map<string, Row>();
  let writing: Promise<unknown> = Promise.resolve();
  const indexes = await takeIndexes(pool, schema);

  const write = (loads: readonly Load[]) => Promise.all(loads.map((load) => writeRows(pool, schema, load)));
  return {
    async add(runs) {
      const contents = runs.map((run) => contentOf(tables, run));
      const loads: Load[] = [{ table: FACTS.name, columns: FACTS.columns, rows: runs.map(factsRow) }];
      tables.forEach((table, index) => {
        if (table.kind === 'counted') {
          for (const content of contents)
            for (const row of cellsOf(content, index, table)) count(counts[index]!, row);
          return;
        }
        const rows = contents.map((content) => rowOf(content, index, table)).filter((row) => row !== null);
        loads.push({ table: table.name, columns: table.columns, rows });
      });
      for (const { facts, position } of runs) {
        const [commit, prepare] = position.split('.');
        const { workspaceId: workspace_id, tenantId: tenant_id } = facts;
        scopes.set(JSON.stringify([workspace_id, tenant_id]), {
          workspace_id,
          tenant_id,
          commit: commit!,
          prepare: prepare!,
        });
      }
      await writing;
      writing = write(loads);
      writing.catch(() => undefined); // awaited at the next chunk
    },
    async finish({ commit, prepare }) {
      await writing;
      const counted = tables.flatMap((table, index) => {
        const rows = [...counts[index]!.values()].map(({ row, n }) => ({ ...row, n }));
        const columns: Columns = { ...table.columns, n: { type: 'int' } };
        return table.kind === 'counted' ? [{ table: table.name, columns, rows }] : [];
      });
      await write([...counted, { ...SCOPE_POSITIONS, rows: [...scopes.values()] }]);
      await inLanes(indexes.length, INDEX_LANES, async (nth) => void (await pool.query(indexes[nth]!)));
      await pool.query(
        `update opstruth.generations set checkpoint_commit = $2, checkpoint_prepare = $3, events_applied = $4,
           checkpoint_at = now() where id = $1`,
        [id, commit, prepare, prepare],
      );
      await pool.query('vacuum (analyze, parallel 0)');
      await pool.query('checkpoint');
    },
  };
}

/** Drops the indexes that no key needs and answers the statements that make them again, when the rows are there. */
async function takeIndexes(pool: Pool, schema: string): Promise<string[]> {
  const { rows } = await pool.query<{ name: string; definition: string }>(
    `select indexname as name, indexdef as definition from pg_indexes
     where schemaname = $1 and indexdef not like 'CREATE UNIQUE INDEX%'`,
    [schema],
  );
  for (const { name } of rows) await pool.query(`drop index ${schema}.${name}`);
  return rows.map(({ definition }) => definition);
}

function count(cells: Map<string, { readonly row: Row; n: number }>, row: Row): void {
  const key = JSON.stringify(row);
  const cell = cells.get(key);
  if (cell) cell.n += 1;
  else cells.set(key, { row, n: 1 });
}

async function writeRows(pool: Pool, schema: string, { table, columns, rows }: Load): Promise<void> {
  const client = await pool.connect();
  try {
    await copyRows(client, `${schema}.${table}`, columns, rows);
  } finally {
    client.release();
  }
}
