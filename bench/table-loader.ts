import type { Pool } from 'pg';
import type { ClassifiedRun } from '../src/classifier/classified-run';
import type { Position } from '../src/events/position';
import { copyText } from '../src/projector/copy-rows';
import type { Generation } from '../src/projector/generations';
import { indexesSql } from '../src/projector/generation-schema';
import type { Row, Surface } from '../src/projector/surface';
import { FACTS, factsRow, SCOPE_POSITIONS } from '../src/projector/engine-rows';
import { sendTexts, TableLoad } from '../src/replay/build/table-load';
import type { TableText } from '../src/replay/build/table-load';
import { inLanes } from './in-parallel';

export interface TableLoader {
  /** Writes runs, each to be given once and in its final state. */
  add(runs: readonly ClassifiedRun[]): Promise<void>;
  /** Writes counts, indexes, statistics and the checkpoint. */
  finish(checkpoint: Position): Promise<void>;
}

/** Indexes made at the same time. */
const INDEX_LANES = 2;

/**
 * Fills an empty generation with what the surfaces' own functions make of runs, table by table, without a log. While
 * PostgreSQL takes one chunk the caller makes the next.
 */
export async function openTableLoader(
  pool: Pool,
  { id, schema }: Generation,
  surfaces: readonly Surface[],
): Promise<TableLoader> {
  const load = new TableLoad(surfaces);
  const scopes = new Map<string, Row>();
  let writing: Promise<unknown> = Promise.resolve();
  const indexes = await takeIndexes(pool, schema, surfaces);

  const write = (texts: readonly TableText[]) =>
    Promise.all(texts.map((text) => writeText(pool, schema, text)));
  return {
    async add(runs) {
      const texts = [
        ...load.add(runs.map((run) => load.contentOf(run))),
        { ...FACTS, text: copyText(FACTS.columns, runs.map(factsRow)) },
      ];
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
      writing = write(texts);
      writing.catch(() => undefined); // awaited at the next chunk
    },
    async finish({ commit, prepare }) {
      await writing;
      const scopesText = copyText(SCOPE_POSITIONS.columns, [...scopes.values()]);
      await write([...load.counted(), { ...SCOPE_POSITIONS, text: scopesText }]);
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

/** Drops the surfaces' keys and indexes and answers the statements that make them again, when the rows are there. */
async function takeIndexes(pool: Pool, schema: string, surfaces: readonly Surface[]): Promise<string[]> {
  const statements = indexesSql(schema, surfaces);
  for (const statement of statements)
    await pool.query(`drop index ${schema}.${/ index (\S+)/.exec(statement)![1]!}`);
  return statements;
}

async function writeText(pool: Pool, schema: string, text: TableText): Promise<void> {
  const client = await pool.connect();
  try {
    await sendTexts(client, schema, [text]);
  } finally {
    client.release();
  }
}
