import type { Pool, PoolClient } from 'pg';
import { beginWith, inTransaction, transaction } from '../../db/transaction';
import { FACTS, PARKED, SCOPE_POSITIONS } from '../../projector/engine-rows';
import { generationById } from '../../projector/generations';
import type { Generation } from '../../projector/generations';
import type { Surface } from '../../projector/surface';
import { tablesOf } from '../../projector/surface-content';

/** What every part of a build is told besides its work. */
export interface StepOptions {
  /** Waited for before each step. */
  readonly giveWay: () => Promise<void>;
  /** Told after each transaction, and waited for. */
  readonly onStep?: () => void | Promise<void>;
}

/** Somebody else ended the replay, or took it over, while it was at work. */
export class ReplayEndedError extends Error {
  override readonly name = 'ReplayEndedError';
}

/** The generation as it is now. Throws ReplayEndedError when it is no longer being built. */
export async function building(pool: Pool, id: number): Promise<Generation> {
  const generation = await generationById(pool, id);
  if (generation?.state !== 'building')
    throw new ReplayEndedError(`replay ${id} is ${generation?.state ?? 'unknown'}: nothing is left to build`);
  return generation;
}

/** To be called with how many rows a builder's conditional update of its generation has changed. */
export function refuseEnded(id: number, rowCount: number | null): void {
  if (rowCount !== 1) throw new ReplayEndedError(`replay ${id} was ended or taken over by somebody else`);
}

/** All tables of a generation: the engine's and those of the surfaces. */
export function tableNames(surfaces: readonly Surface[]): string[] {
  return [FACTS, SCOPE_POSITIONS, PARKED, ...tablesOf(surfaces)].map(({ name }) => name);
}

/**
 * Ends the sessions of whoever else writes to a generation that is being built. A process that was stopped in the middle of a
 * COPY has locks on its tables for as long as it is stopped, and no time limit of PostgreSQL holds for one that waits for rows.
 */
export async function endOtherBuilders(
  client: Pick<PoolClient, 'query'>,
  { schema }: Generation,
): Promise<void> {
  await client.query(
    `select pg_terminate_backend(pid) from (
       select distinct pid from pg_locks join pg_stat_activity using (pid) join pg_class on pg_class.oid = relation
       where relnamespace = to_regnamespace($1) and mode <> 'AccessShareLock' and database = datid
         and datname = current_database() and backend_type = 'client backend' and usename = current_user
         and pid <> pg_backend_pid()) writer`,
    [schema],
  );
}

/**
 * A step of a build need not wait for the disk: after a crash of PostgreSQL rows and checkpoint are those of an earlier step,
 * and the build goes on from there. What makes a generation ready waits, and for all that came before it.
 */
export const NOT_AWAITED = 'synchronous_commit=off';

const SETTINGS = [NOT_AWAITED];

/** One step of a build: all of `work` or nothing of it, not for longer than IDLE_LIMIT between two statements. See NOT_AWAITED. */
export async function inStep<T>(client: Pick<PoolClient, 'query'>, work: () => Promise<T>): Promise<T> {
  return inTransaction(client, work, beginWith(SETTINGS));
}

export function truncateSql(schema: string, names: readonly string[]): string {
  return `truncate ${names.map((name) => `${schema}.${name}`).join(', ')}`;
}

/** What an attempt at filling tables begins with. */
export interface Emptied {
  /** A process that was at work on them before, paused and now continued, is of an older one and writes nothing more. */
  readonly epoch: string;
  /** Table -> the file that it is kept in since. */
  readonly files: ReadonlyMap<string, number>;
}

/** Takes tables of a generation that is being built back to their beginning. Throws ReplayEndedError. */
export async function emptyTables(
  pool: Pool,
  { id, schema }: Generation,
  names: readonly string[],
): Promise<Emptied> {
  return transaction(
    pool,
    async (client) => {
      await client.query(truncateSql(schema, names));
      const { rows } = await client.query<{ epoch: string }>(
        `update opstruth.generations set runs_loaded = 0, epoch = epoch + 1
         where id = $1 and state = 'building' returning epoch`,
        [id],
      );
      refuseEnded(id, rows.length);
      const { rows: tables } = await client.query<{ name: string; file: number }>(
        `select name, pg_relation_filenode(($1 || '.' || name)::regclass) as file from unnest($2::text[]) as name`,
        [schema, names],
      );
      return { epoch: rows[0]!.epoch, files: new Map(tables.map(({ name, file }) => [name, file])) };
    },
    SETTINGS,
  );
}
