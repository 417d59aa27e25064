import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Migrator, sql } from 'kysely';
import type { Migration } from 'kysely';
import type { Pool } from 'pg';
import { kyselyOn } from './database';
import { packageFolder } from '../tools/package-folder';

const SCHEMA = 'opstruth';
const TABLE = 'migration';
const LOCK_TABLE = 'migration_lock';
const FILE_NAME = /^\d{4}_[a-z0-9_]+\.sql$/;

export class MigrationError extends Error {
  override readonly name = 'MigrationError';
}

/** The package's own `/migrations`. */
export function migrationsFolder(): string {
  return join(packageFolder(), 'migrations');
}

/**
 * Applies the SQL files that this database has not seen, in order of their numbers, all or none, under a lock: of
 * several processes that start at once one migrates and the others wait. Returns the names applied; idempotent.
 * Throws MigrationError, for a server that cannot be used as well.
 */
export async function migrate(pool: Pool, folder = migrationsFolder()): Promise<string[]> {
  await requireUsable(pool);
  const migrations = await readMigrations(folder);
  const migrator = new Migrator({
    db: kyselyOn<unknown>(pool),
    provider: { getMigrations: () => Promise.resolve(migrations) },
    migrationTableSchema: SCHEMA,
    migrationTableName: TABLE,
    migrationLockTableName: LOCK_TABLE,
  });
  const { error, results } = await migrator.migrateToLatest();
  const failed = results?.find(({ status }) => status === 'Error');
  if (error !== undefined) {
    const what = failed ? `migration ${failed.migrationName} failed` : 'the database cannot be migrated';
    throw new MigrationError(`${what}: ${error instanceof Error ? error.message : JSON.stringify(error)}`, {
      cause: error,
    });
  }
  return (results ?? []).map(({ migrationName }) => migrationName);
}

/** `nulls not distinct` came with 15. */
const OLDEST_SERVER = 15;

/** What would otherwise fail in the middle of a migration, or with the first run whose id has an umlaut. */
async function requireUsable(pool: Pool): Promise<void> {
  const { rows } = await pool.query<{ version: string; encoding: string }>(
    `select current_setting('server_version') as version, current_setting('server_encoding') as encoding`,
  );
  const { version, encoding } = rows[0]!;
  if (parseInt(version, 10) < OLDEST_SERVER)
    throw new MigrationError(`the server is PostgreSQL ${version}; ${OLDEST_SERVER} or newer is needed`);
  if (encoding !== 'UTF8')
    throw new MigrationError(`the database has the encoding ${encoding}; it must be UTF8`);
}

/** Those of the migrations this build knows that have not been applied. A newer database is fine: migrations only add. */
export async function missingMigrations(
  pool: Pool,
  folder = migrationsFolder(),
): Promise<{ readonly names: readonly string[]; readonly isEmpty: boolean }> {
  const known = Object.keys(await readMigrations(folder));
  const { rows: tables } = await pool.query<{ there: boolean }>(
    'select to_regclass($1) is not null as there',
    [`${SCHEMA}.${TABLE}`],
  );
  const { rows } = tables[0]?.there
    ? await pool.query<{ name: string }>(`select name from ${SCHEMA}.${TABLE}`)
    : { rows: [] };
  const applied = new Set(rows.map(({ name }) => name));
  return { names: known.filter((name) => !applied.has(name)), isEmpty: applied.size === 0 };
}

async function readMigrations(folder: string): Promise<Record<string, Migration>> {
  const files = (await readdir(folder)).filter((file) => file.endsWith('.sql')).sort();
  const migrations: Record<string, Migration> = {};
  let previous: string | undefined;
  for (const file of files) {
    if (!FILE_NAME.test(file)) {
      throw new MigrationError(`${join(folder, file)}: migrations are named like 0001_what_it_adds.sql`);
    }
    if (file.slice(0, 4) === previous?.slice(0, 4)) {
      throw new MigrationError(`${previous} and ${file} in ${folder} have the same number`);
    }
    previous = file;
    const text = await readFile(join(folder, file), 'utf8');
    migrations[file.slice(0, -'.sql'.length)] = {
      // No parameters, so that the driver sends the file as it is, with all its statements.
      up: async (db) => {
        await sql.raw(text).execute(db);
      },
    };
  }
  return migrations;
}
