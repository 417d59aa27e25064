import type { PoolClient } from 'pg';
import { listGenerations } from '../projector/generations';
import type { Generation } from '../projector/generations';
import type { Columns, Row } from '../projector/surface';

/** The generation as the snapshot has it: its checkpoint is the one its rows are true at. */
export async function generationIn(client: PoolClient, id: number): Promise<Generation> {
  const generation = (await listGenerations(client)).find((one) => one.id === id);
  if (!generation) throw new Error(`there is no generation ${id}`);
  return generation;
}

/** A select list that gives each column in the form in which `Differences` compares it: instants and JSON as texts. */
export function storedColumns(columns: Columns, alias: string): string {
  const selected = Object.entries(columns).map(([name, { type }]) => {
    const column = `${alias}.${name}`;
    switch (type) {
      case 'timestamptz':
        return `to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as ${name}`;
      case 'json':
      case 'numeric':
        return `${column}::text as ${name}`;
      case 'text':
      case 'int':
      case 'boolean':
        return column;
    }
  });
  return selected.join(', ');
}

/** A run's place in every keyed table. */
export interface RunKey {
  readonly workspaceId: string;
  readonly runId: string;
}

/** The rows that a keyed table has of these runs, by run id; one query. */
export async function rowsOfRuns(
  client: PoolClient,
  schema: string,
  table: { readonly name: string; readonly columns: Columns },
  runs: readonly RunKey[],
): Promise<Map<string, Row>> {
  const { rows } = await client.query<Row & { run_id: string }>(
    `select ${storedColumns(table.columns, 't')}
     from unnest($1::text[], $2::text[]) as wanted (workspace_id, run_id)
     join ${schema}.${table.name} t on t.workspace_id = wanted.workspace_id and t.run_id = wanted.run_id`,
    [runs.map(({ workspaceId }) => workspaceId), runs.map(({ runId }) => runId)],
  );
  return new Map(rows.map((row) => [row.run_id, row]));
}
