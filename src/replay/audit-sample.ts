import type { PoolClient } from 'pg';

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

/** The first `size` places of a shuffle. */
function pickSome<T>(values: T[], size: number, random: () => number): T[] {
  const count = Math.min(size, values.length);
  for (let place = 0; place < count; place++) {
    const other = place + Math.floor(random() * (values.length - place));
    [values[place], values[other]] = [values[other]!, values[place]!];
  }
  return values.slice(0, count);
}
