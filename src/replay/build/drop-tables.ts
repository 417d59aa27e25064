import { DatabaseError } from 'pg';
import type { Pool } from 'pg';
import { transaction } from '../../db/transaction';
import { sleep } from '../../tools/abortable';
import type { Generation } from '../../projector/generations';
import { endOtherBuilders } from './building';

/** A drop that waits for a table keeps a worker from its builds, and new readers of all the others: not for longer than this. */
const WAITS_AT_MOST_MS = 100;
const BETWEEN_TRIES_MS = 250;
/** Whoever asked is answered by then. What is left a serving process drops. */
const TRIES_FOR_MS = 10_000;

const LOCK_NOT_AVAILABLE = '55P03';
const DEADLOCK_DETECTED = '40P01';

/** Drops the tables of a generation that has ended. False where somebody has worked on them all the while. Idempotent. */
export async function dropTables(
  pool: Pool,
  generation: Generation,
  triesForMs = TRIES_FOR_MS,
): Promise<boolean> {
  const until = AbortSignal.timeout(triesForMs);
  while (!until.aborted) {
    if (await tryToDrop(pool, generation)) return true;
    await sleep(BETWEEN_TRIES_MS, until);
  }
  return false;
}

/**
 * Drops what a process that was killed after it had ended a generation has left of it, unless somebody works on it still.
 * Answers the ids of those that are gone.
 */
export async function dropLeftTables(pool: Pool, generations: readonly Generation[]): Promise<number[]> {
  const ended = generations.filter(({ state }) => state === 'retired' || state === 'failed');
  const { rows } = await pool.query<{ schema: string }>(
    'select nspname as schema from pg_namespace where nspname = any($1::text[])',
    [ended.map(({ schema }) => schema)],
  );
  const left = new Set(rows.map(({ schema }) => schema));
  const dropped: number[] = [];
  for (const generation of ended)
    if (left.has(generation.schema) && (await tryToDrop(pool, generation))) dropped.push(generation.id);
  return dropped;
}

/** False where somebody else has a lock on them, or is dropping them. */
async function tryToDrop(pool: Pool, generation: Generation): Promise<boolean> {
  try {
    return await transaction(
      pool,
      async (client) => {
        // Whoever ends the builders' sessions would end that of another who is dropping as well.
        const { rows } = await client.query<{ only: boolean }>(
          'select pg_try_advisory_xact_lock(hashtext($1)) as only',
          [generation.schema],
        );
        if (!rows[0]!.only) return false;
        const wasBeingBuilt = generation.startedAt !== null && generation.readyAt === null;
        if (wasBeingBuilt) await endOtherBuilders(client, generation);
        await client.query(`drop schema if exists ${generation.schema} cascade`);
        return true;
      },
      [`lock_timeout = ${WAITS_AT_MOST_MS}`],
    );
  } catch (error) {
    const code = error instanceof DatabaseError ? error.code : undefined;
    if (code === LOCK_NOT_AVAILABLE || code === DEADLOCK_DETECTED) return false;
    throw error;
  }
}
