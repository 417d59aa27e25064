import type { Pool } from 'pg';
import { sql } from 'kysely';
import { problemClassAt } from '../classifier/class-sql';
import { factsOf } from '../classifier/facts-document';
import type { FactsDocument } from '../classifier/facts-document';
import type { RunFacts } from '../domain/run-facts';
import { kyselyOn } from '../db/database';
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
 * of runs that the older one does not know (or the other way round) is counted as `absent`. Of two generations that
 * follow the log one is always a moment ahead: a run that has moved since the other's checkpoint is left out, because what
 * one has only not read yet is no difference.
 */
export async function diffGenerations(
  pool: Pool,
  before: Generation,
  after: Generation,
  asOf: Instant,
): Promise<Comparison> {
  const db = kyselyOn(pool);
  const isBeyond = (run: string) =>
    sql<boolean>`coalesce(${positionOf(run)} > (select commit, prepare from reached), false)`;
  const bothHaveCome = isHistorical(after) ? sql`true` : sql`not ${isBeyond('a')} and not ${isBeyond('b')}`;
  const { rows } = await sql<Transition & { samples: string[] | null }>`
    with reached as (
      select checkpoint_commit as commit, checkpoint_prepare as prepare from opstruth.generations
      where id in (${before.id}, ${after.id}) order by commit, prepare limit 1
    ), judged as (
      select coalesce(a.workspace_id, b.workspace_id) as workspace_id, coalesce(a.run_id, b.run_id) as run_id,
             case when a.run_id is null then 'absent' else ${problemClassAt(asOf, 'a')} end as "from",
             case when b.run_id is null then 'absent' else ${problemClassAt(asOf, 'b')} end as "to"
      from ${sql.table(`${before.schema}.run_facts`)} a
      full join ${sql.table(`${after.schema}.run_facts`)} b on b.run_id = a.run_id
      where ${bothHaveCome})
    select workspace_id as "workspaceId", "from", "to", count(*)::int as runs,
           case when "from" <> "to" then (array_agg(run_id order by run_id))[1:${sql.lit(SAMPLES_PER_TRANSITION)}] end as samples
    from judged group by workspace_id, "from", "to"`.execute(db);
  const sampled = rows.flatMap(({ samples, ...transition }) =>
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
  return comparisonOf(asOf, matrix, samples);
}

/** Of a row of `run_facts`, in the order of the log. */
function positionOf(run: string) {
  const part = (nth: number) => sql`split_part(${sql.ref(`${run}.position`)}, '.', ${sql.lit(nth)})::numeric`;
  return sql`(${part(1)}, ${part(2)})`;
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
  client: Pick<Pool, 'query'>,
  generation: Generation,
  runIds: readonly string[],
): Promise<Map<string, RunFacts>> {
  const { rows } = await client.query<{ run_id: string; facts: FactsDocument }>(
    `select run_id, facts from ${generation.schema}.run_facts where run_id = any($1::text[])`,
    [runIds],
  );
  return new Map(rows.map((row) => [row.run_id, factsOf(row.facts)]));
}

function absenceOf(from: MatrixClass, to: MatrixClass): string {
  if (from === 'absent') return 'the run is only in the new generation';
  return to === 'absent' ? 'the run is only in the old generation' : 'no reason known';
}
