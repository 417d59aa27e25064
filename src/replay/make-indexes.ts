import type { Pool, PoolClient } from 'pg';
import { tableIndexesSql } from '../projector/generation-schema';
import type { Generation } from '../projector/generations';
import type { Surface } from '../projector/surface';
import { tablesOf } from '../projector/surface-content';

/** Tables worked on at the same time. */
const LANES = 2;
/** A table of this size is indexed in a moment: no reader of the log has to wait long for it. */
const SMALL_BYTES = 32 * 1024 * 1024;
/** For the sort behind an index, per lane. */
const SORT_MEMORY = '128MB';
/** A thirtieth of the sample that PostgreSQL would take: columns of a few values, soon to be looked at by autovacuum. */
const STATISTICS_TARGET = 30;

export interface MakeIndexesOptions {
  readonly pool: Pool;
  readonly surfaces: readonly Surface[];
  readonly onStep?: () => void | Promise<void>;
}

/**
 * Makes the keys and indexes of a loaded generation, and its statistics; until `signal` aborts. What an earlier attempt
 * made stays.
 */
export async function makeIndexes(
  { schema }: Generation,
  { pool, surfaces, onStep }: MakeIndexesOptions,
  signal: AbortSignal,
): Promise<void> {
  const work = [
    { name: 'run_facts', indexes: [] as string[] },
    ...tablesOf(surfaces).map((table) => ({ name: table.name, indexes: tableIndexesSql(schema, table) })),
  ];
  await Promise.all(
    Array.from({ length: LANES }, async () => {
      const client = await pool.connect();
      try {
        await client.query(`set maintenance_work_mem = '${SORT_MEMORY}'`);
        await client.query(`set default_statistics_target = ${STATISTICS_TARGET}`);
        for (let table = work.shift(); table && !signal.aborted; table = work.shift()) {
          for (const statement of table.indexes) {
            await makeIndex(client, schema, table.name, statement);
            await onStep?.();
          }
          await client.query(`vacuum (analyze) ${schema}.${table.name}`);
        }
      } finally {
        await client.query('reset all').catch(() => undefined); // a broken connection is not used again
        client.release();
      }
    }),
  );
}

/**
 * Makes an index of a large table without holding a transaction id for its duration (`concurrently`, which reads the
 * table twice), because readers of the log wait for the oldest one: see docs/adr/0001. One that a kill left half made is
 * made anew.
 */
async function makeIndex(
  client: PoolClient,
  schema: string,
  table: string,
  statement: string,
): Promise<void> {
  const name = /^create (?:unique )?index (\S+)/.exec(statement)![1]!;
  const { rows } = await client.query<{ valid: boolean | null; small: boolean }>(
    `select pg_relation_size(to_regclass($2)) < $3 as small,
       (select indisvalid from pg_index where indexrelid = to_regclass($1)) as valid`,
    [`${schema}.${name}`, `${schema}.${table}`, SMALL_BYTES],
  );
  const { valid, small } = rows[0]!;
  if (valid) return;
  if (valid === false) await client.query(`drop index concurrently ${schema}.${name}`);
  await client.query(small ? statement : statement.replace(/ index /, ' index concurrently '));
}
