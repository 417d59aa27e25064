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

/** Null when it cannot be read: the tables of a retired one are gone, and a failed one's are true at no position. */
export async function findGeneration(db: Kysely<unknown>, id: number): Promise<ReadGeneration | null> {
  const { rows } = await sql<ReadGeneration>`
    select ${columns} from opstruth.generations
    where id = ${id}::bigint and state not in ('retired', 'failed')`.execute(db);
  return rows[0] ?? null;
}
