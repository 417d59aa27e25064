import type { Kysely } from 'kysely';
import { sql } from 'kysely';

/** What a reader must know of a generation before it can ask it anything. */
export interface ReadGeneration {
  readonly id: number;
  readonly schema: string;
  readonly classifierVersion: number;
  readonly policyVersion: number;
}

const columns = sql`id, schema_name as schema, classifier_version as "classifierVersion",
  policy_version as "policyVersion"`;

/** Null when nothing has been projected yet. */
export async function findLiveGeneration(db: Kysely<unknown>): Promise<ReadGeneration | null> {
  const { rows } = await sql<ReadGeneration>`
    select ${columns} from opstruth.generations where state = 'live'`.execute(db);
  return rows[0] ?? null;
}

/** Of a building or failed one the tables are true at no position, of a retired one they are gone. */
export const READABLE = sql`('ready', 'live', 'standby')`;

/** Null when it cannot be read. */
export async function findGeneration(db: Kysely<unknown>, id: number): Promise<ReadGeneration | null> {
  const { rows } = await sql<ReadGeneration>`
    select ${columns} from opstruth.generations
    where id = ${id}::bigint and state in ${READABLE}`.execute(db);
  return rows[0] ?? null;
}
