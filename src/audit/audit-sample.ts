import type { PoolClient } from 'pg';
import { parsePosition, START } from '../events/position';
import type { Position } from '../events/position';

/** Pages to look at beyond one per run, so that a small sample does not come back empty by chance. */
const SPARE_PAGES = 10;

/**
 * Up to `size` run ids of a generation, picked at random: pages of the table by `tablesample` (which reads only those),
 * then runs on them. Costs the same whatever the table's length. Fewer only when there are no more.
 */
export async function pickRuns(
  client: PoolClient,
  schema: string,
  size: number,
  random: () => number,
): Promise<string[]> {
  const { rows: measured } = await client.query<{ pages: number }>(
    `select (pg_relation_size($1::regclass) / current_setting('block_size')::int)::int as pages`,
    [`${schema}.run_facts`],
  );
  const pages = Math.max(1, measured[0]!.pages);
  for (let percent = ((size + SPARE_PAGES) * 100) / pages; ; percent *= 10) {
    const { rows } = await client.query<{ run_id: string }>(
      `select run_id from ${schema}.run_facts tablesample system ($1) repeatable ($2)`,
      [Math.min(100, percent), Math.floor(random() * 1_000_000_000)],
    );
    // Pages may hold nothing but dead rows.
    if (rows.length >= size || percent >= 100)
      return pickSome(
        rows.map((row) => row.run_id),
        size,
        random,
      );
  }
}

/** Of the last event of a random run, or before the first: EventStoreDB reads from no position but that of an event. */
export async function somePosition(
  client: PoolClient,
  schema: string,
  size: number,
  random: () => number,
): Promise<Position> {
  const runIds = await pickRuns(client, schema, size, random);
  const runId = runIds[Math.floor(random() * (runIds.length + 1)) - 1];
  if (runId === undefined) return START;
  const { rows } = await client.query<{ position: string }>(
    `select position from ${schema}.run_facts where run_id = $1`,
    [runId],
  );
  return parsePosition(rows[0]!.position)!;
}

/** Those of `runIds` that have no facts. */
export async function missingIn(
  client: PoolClient,
  schema: string,
  runIds: readonly string[],
): Promise<string[]> {
  const { rows } = await client.query<{ run_id: string }>(
    `select told.run_id from unnest($1::text[]) as told (run_id)
     where not exists (select from ${schema}.run_facts f where f.run_id = told.run_id)`,
    [runIds],
  );
  return rows.map(({ run_id }) => run_id);
}

/** A stretch of a generation's run ids, in their order, and some of them picked at random. */
export interface PickedStretch {
  readonly runIds: string[];
  /** The last id of the stretch, picked or not: the next one begins behind it. Null where no run is left. */
  readonly last: string | null;
  /** Runs of the stretch. */
  readonly length: number;
}

/** Picks up to `size` of the next `length` runs behind `after`. One query, and only what was picked is in memory. */
export async function pickFromStretch(
  client: PoolClient,
  schema: string,
  { after, length, size }: { readonly after: string | null; readonly length: number; readonly size: number },
  random: () => number,
): Promise<PickedStretch> {
  const { rows } = await client.query<PickedStretch>(
    `with stretch as materialized (
       select run_id from ${schema}.run_facts where $1::text is null or run_id > $1 order by run_id limit $2
     )
     select (select max(run_id) from stretch) as last, (select count(*)::int from stretch) as length,
       array(select run_id from stretch order by hashtextextended(run_id, $4), run_id limit $3) as "runIds"`,
    [after, length, size, Math.floor(random() * 1_000_000_000)],
  );
  return rows[0]!;
}

export async function countRuns(client: Pick<PoolClient, 'query'>, schema: string): Promise<number> {
  const { rows } = await client.query<{ runs: number }>(
    `select count(*)::int as runs from ${schema}.run_facts`,
  );
  return rows[0]!.runs;
}

/** The first `size` places of a shuffle. */
function pickSome<T>(values: T[], size: number, random: () => number): T[] {
  const count = Math.min(size, values.length);
  for (let place = 0; place < count; place++) {
    const other = place + Math.floor(random() * (values.length - place));
    [values[place], values[other]] = [values[other]!, values[place]!];
  }
  return values.slice(0, count);
}
