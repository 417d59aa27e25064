import { loadConfig } from '../config';
import { openDatabase } from '../db/database';
import { migrate } from '../db/migrate';
import type { Output } from './output';

/** Applies what is missing of the schema. Safe to run from several machines at once. */
export async function migrateVerb(output: Output): Promise<void> {
  const database = await openDatabase(loadConfig(process.env, { requireAuth: false }));
  try {
    const applied = await migrate(database.pool);
    output.result({ applied }, () =>
      applied.length === 0 ? ['the schema is up to date'] : applied.map((name) => `applied ${name}`),
    );
  } finally {
    await database.close();
  }
}
