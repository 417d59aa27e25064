import type { PoolClient } from 'pg';
import type { Pool } from 'pg';
import { sql } from 'kysely';
import { problemClassAt } from '../classifier/class-sql';
import { factsOf } from '../classifier/facts-document';
import type { FactsDocument } from '../classifier/facts-document';
import type { RunFacts } from '../domain/run-facts';
import { kyselyOn } from '../db/database';
import { sleep } from '../event-store/abortable';
import type { Instant } from '../events/instant';
import { classify } from '../projector/fold-batch';
import { isHistorical } from '../projector/generations';
import type { Generation } from '../projector/generations';
import { judgeFor } from '../projector/live-classification';
import { divergence } from './divergence';
import { comparisonOf, SAMPLES_PER_TRANSITION } from './transition-matrix';
import type { Comparison, MatrixClass, Sample, Transition } from './transition-matrix';

/**
 * Compares two generations run by run at one instant, in one statement and so in one snapshot. What the newer one says
 * of runs that the older one does not know (or the other way round) is counted as `absent`. Two generations that follow
 * the log are compared where both are at the same position, if they get there soon: what one has only not read yet is
 * no difference.
 */
export async function diffGenerations(
  pool: Pool,
  before: Generation,
  after: Generation,
  asOf: Instant,
): Promise<Comparison> {
  for (let look = 0; look < LEVEL_LOOKS && !isHistorical(after); look++) {
    if (await areLevel(pool, before, after)) {
      const { comparison, level } = await compare(pool, before, after, asOf);
      if (level) return comparison;
    }
    await sleep(BETWEEN_LOOKS_MS, new AbortController().signal);
  }
  return (await compare(pool, before, after, asOf)).comparison;
}

const LEVEL_LOOKS = 50;
const BETWEEN_LOOKS_MS = 10;

/** Whether the checkpoints of both are the same, as a SQL expression. */
function levelSql(before: Generation, after: Generation): string {
  return `(select count(distinct (checkpoint_commit, checkpoint_prepare)) = 1
    from opstruth.generations where id in (${before.id}, ${after.id}))`;
}

async function areLevel(pool: Pool, before: Generation, after: Generation): Promise<boolean> {
  const { rows } = await pool.query<{ level: boolean }>(`select ${levelSql(before, after)} as level`);
  return rows[0]!.level;
}

interface Compared {
  readonly comparison: Comparison;
  /** Whether both were at the same position. */
  readonly level: boolean;
}

async function compare(pool: Pool, before: Generation, after: Generation, asOf: Instant): Promise<Compared> {
  const db = kyselyOn(pool);
  const { rows } = await sql<Transition & { samples: string[] | null; level: boolean }>`
    with judged as (
      select coalesce(a.workspace_id, b.workspace_id) as workspace_id, coalesce(a.run_id, b.run_id) as run_id,
             case when a.run_id is null then 'absent' else ${problemClassAt(asOf, 'a')} end as "from",
             case when b.run_id is null then 'absent' else ${problemClassAt(asOf, 'b')} end as "to"
      from ${sql.table(`${before.schema}.run_facts`)} a
      full join ${sql.table(`${after.schema}.run_facts`)} b on b.run_id = a.run_id)
    select workspace_id as "workspaceId", "from", "to", count(*)::int as runs,
           case when "from" <> "to" then (array_agg(run_id order by run_id))[1:${sql.lit(SAMPLES_PER_TRANSITION)}] end as samples,
           ${sql.raw(levelSql(before, after))} as level
    from judged group by workspace_id, "from", "to"`.execute(db);
  const sampled = rows.flatMap(({ samples, level: _level, ...transition }) =>
    (samples ?? []).map((runId) => ({ ...transition, runId })),
  );
  const reasons = await reasonsOf(
    pool,
    before,
    after,
    sampled.map(({ runId }) => runId),
  );
  const samples = sampled.map(({ workspaceId, runId, from, to }): Sample => ({
    workspaceId,
    runId,
    from,
    to,
    because: reasons.get(runId) ?? absenceOf(from, to),
  }));
  const matrix = rows.map(({ workspaceId, from, to, runs }) => ({ workspaceId, from, to, runs }));
  // No runs at all: nothing can differ.
  return { comparison: comparisonOf(asOf, matrix, samples), level: rows[0]?.level ?? true };
}

async function reasonsOf(
  pool: Pool,
  before: Generation,
  after: Generation,
  runIds: readonly string[],
): Promise<Map<string, string>> {
  const [oldJudge, newJudge] = [await judgeFor(pool, before), await judgeFor(pool, after)];
  const [old, now] = [await storedFacts(pool, before, runIds), await storedFacts(pool, after, runIds)];
  const reasons = new Map<string, string>();
  for (const [runId, facts] of now) {
    const earlier = old.get(runId);
    if (!earlier) continue;
    const judged = [classify(earlier, oldJudge, '', false), classify(facts, newJudge, '', false)] as const;
    reasons.set(runId, divergence(...judged));
  }
  return reasons;
}

async function storedFacts(
  client: Pick<Pool | PoolClient, 'query'>,
  generation: Generation,
  runIds: readonly string[],
): Promise<Map<string, RunFacts>> {
  const { rows } = await (client as Pool).query<{ run_id: string; facts: FactsDocument }>(
    `select run_id, facts from ${generation.schema}.run_facts where run_id = any($1::text[])`,
    [runIds],
  );
  return new Map(rows.map((row) => [row.run_id, factsOf(row.facts)]));
}

function absenceOf(from: MatrixClass, to: MatrixClass): string {
  if (from === 'absent') return 'the run is only in the new generation';
  return to === 'absent' ? 'the run is only in the old generation' : 'no reason known';
}
