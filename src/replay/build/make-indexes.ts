import { DatabaseError } from 'pg';
import type { Pool, PoolClient } from 'pg';
import { runFactsIndexesSql, tableIndexesSql } from '../../projector/generation-schema';
import type { Generation } from '../../projector/generations';
import type { Surface } from '../../projector/surface';
import { tablesOf } from '../../projector/surface-content';
import { NOT_AWAITED } from './building';
import type { StepOptions } from './building';
import { inLanes } from './in-lanes';

/** Tables worked on at the same time. */
const LANES = 2;
/** For the sort behind an index, per lane. */
const SORT_MEMORY = '128MB';
/** The lanes are what works at the same time: two more processes for each index take the processors from who serves. */
const IN_ONE_PROCESS = 'set max_parallel_maintenance_workers = 0';
/** A thirtieth of the sample that PostgreSQL would take: columns of a few values, soon to be looked at by autovacuum. */
const STATISTICS_TARGET = 30;
const UNIQUE_VIOLATION = '23505';

export interface MakeIndexesOptions extends StepOptions {
  readonly pool: Pool;
  readonly surfaces: readonly Surface[];
}

/**
 * Makes the keys and indexes of a loaded generation, and its statistics; until `signal` aborts. What an earlier attempt
 * made stays.
 */
export async function makeIndexes(
  { schema }: Generation,
  { pool, surfaces, giveWay, onStep }: MakeIndexesOptions,
  signal: AbortSignal,
): Promise<void> {
  const work = [
    { name: 'run_facts', indexes: runFactsIndexesSql(schema) },
    ...tablesOf(surfaces).map((table) => ({ name: table.name, indexes: tableIndexesSql(schema, table) })),
  ];
  const connections = {
    open: async () => {
      const client = await pool.connect();
      try {
        await client.query(
          `set maintenance_work_mem = '${SORT_MEMORY}'; ${IN_ONE_PROCESS}; set default_statistics_target = ${STATISTICS_TARGET}; set ${NOT_AWAITED}`,
        );
        return client;
      } catch (error) {
        client.release(true);
        throw error;
      }
    },
    close: async (client: PoolClient) => {
      await client.query('reset all').catch(() => undefined); // a broken connection is not used again
      client.release();
    },
  };
  await inLanes(work, LANES, connections, async ({ name, indexes }, client) => {
    for (const statement of indexes) {
      if (signal.aborted) return;
      await giveWay();
      await makeUnlessThere(client, statement);
      await onStep?.();
    }
    if (signal.aborted) return;
    await client.query(`vacuum (analyze) ${schema}.${name}`);
  });
}

/**
 * What a killed attempt had made is whole: an index comes with its transaction or not at all. One that a paused builder goes
 * on making meanwhile is waited for, and then PostgreSQL says that its name is taken.
 */
async function makeUnlessThere(client: PoolClient, statement: string): Promise<void> {
  const unlessThere = statement.replace(' index ', ' index if not exists ');
  await client.query(unlessThere).catch((error: unknown) => {
    const isTaken = error instanceof DatabaseError && error.code === UNIQUE_VIOLATION;
    if (!isTaken) throw error;
    // If it was not the name but two equal rows, this fails as the first attempt did, and says so.
    return client.query(unlessThere);
  });
}
