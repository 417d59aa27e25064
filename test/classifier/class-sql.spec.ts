import { fc, TIMES } from '../support/properties';
import { Kysely, PostgresDialect, sql } from 'kysely';
import { classColumns, hasProblemClass, problemClassAt } from '../../src/classifier/class-sql';
import { verdictAt } from '../../src/classifier/classified-run';
import { PROBLEM_CLASSES } from '../../src/domain/classification';
import type { ProblemClass } from '../../src/domain/classification';
import { createTestDatabase } from '../support/database';
import type { TestDatabase } from '../support/database';
import { anyInstant, anyRun, classified, queuedRun } from './run-facts';

let database: TestDatabase;
let db: Kysely<Record<string, never>>;

beforeAll(async () => {
  database = await createTestDatabase({ max: 1 });
  db = new Kysely({ dialect: new PostgresDialect({ pool: database.pool }) });
});
afterAll(() => database.close());

const subsets: ProblemClass[][] = [0, 1, 2, 3, 4, 5, 6, 7].map((bits) =>
  PROBLEM_CLASSES.filter((_, index) => (bits >> index) & 1),
);

it('the class in SQL is the verdict, at every instant', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(anyRun, { minLength: 1, maxLength: 40 }),
      anyInstant,
      async (runs, someInstant) => {
        // Half of the time the instant is a deadline itself, where strictness shows.
        const deadline = runs.find((run) => run.timeline.staleAt !== null)?.timeline.staleAt;
        const asOf = deadline && runs.length % 2 === 0 ? deadline : someInstant;
        const values = runs.map((run, index) => {
          const { problem_class, stale_at } = classColumns(run);
          return sql`(${index}::int, ${problem_class}::text, ${stale_at}::timestamptz)`;
        });
        const flags = subsets.map((subset) => sql`coalesce(${hasProblemClass(subset, asOf, 'r')}, false)`);
        const { rows } = await sql<{ at: ProblemClass; has: boolean[] }>`
        select ${problemClassAt(asOf, 'r')} as at, array[${sql.join(flags)}] as has
        from (values ${sql.join(values)}) as r (n, problem_class, stale_at) order by r.n`.execute(db);
        const verdicts = runs.map((run) => verdictAt(run.timeline, asOf).problemClass);
        expect(rows.map((row) => row.at)).toEqual(verdicts);
        expect(rows.map((row) => row.has)).toEqual(
          verdicts.map((verdict) => subsets.map((subset) => subset.includes(verdict))),
        );
      },
    ),
    { numRuns: 60 * TIMES },
  );
});

it('a deadline crossed by a microsecond shows in SQL', async () => {
  const run = classified(queuedRun({ queuedAt: '2026-03-01T08:00:00.000001Z' }));
  const { problem_class, stale_at } = classColumns(run);
  const at = async (asOf: string) => {
    const { rows } = await sql<{ at: ProblemClass }>`
      select ${problemClassAt(asOf)} as at
      from (values (${problem_class}::text, ${stale_at}::timestamptz)) as r (problem_class, stale_at)`.execute(
      db,
    );
    return rows[0]?.at;
  };
  expect(await at('2026-03-01T08:10:00.000001Z')).toBe('none');
  expect(await at('2026-03-01T08:10:00.000002Z')).toBe('active_stale_attention');
});

it('an index on stale_at serves the stuck runs', async () => {
  await db.connection().execute(async (connection) => {
    await sql`create temp table r (problem_class text not null, stale_at timestamptz)`.execute(connection);
    await sql`create index on r (stale_at) where stale_at is not null`.execute(connection);
    await sql`set enable_seqscan = off`.execute(connection);
    const stuck = hasProblemClass(['active_stale_attention'], '2026-03-01T08:00:00.000Z');
    const { rows } = await sql<{ 'QUERY PLAN': string }>`explain select 1 from r where ${stuck}`.execute(
      connection,
    );
    expect(rows.map((row) => row['QUERY PLAN']).join('\n')).toContain('Index Cond: (stale_at <');
  });
});
