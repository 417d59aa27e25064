import type { Pool, PoolClient } from 'pg';
import { judgeWith } from '../classifier/classifier';
import { verdictAt } from '../classifier/classified-run';
import { factsOf } from '../classifier/facts-document';
import type { ProblemClass } from '../domain/classification';
import { cursorPages } from '../db/cursor-pages';
import { inSnapshot } from '../db/transaction';
import type { Instant } from '../events/instant';
import { COUNT_ALL } from '../event-store/event-store';
import { START } from '../events/position';
import { isOfSurfaces, liveGeneration } from '../projector/generations';
import type { Generation } from '../projector/generations';
import { endedAlike, judgeFor } from '../projector/live-classification';
import { loadPolicy } from '../projector/policies';
import type { StoredFacts } from '../projector/run-states';
import { foundWrongIn } from '../audit/audit-results';
import { divergence } from './divergence';
import type { OperatorContext } from './operator-context';
import { MatrixTally } from './transition-matrix';
import type { Comparison } from './transition-matrix';

/** What to rebuild with; what is left out stays as it is in the live generation. */
export interface Candidate {
  readonly policyVersion?: number | undefined;
  readonly classifierVersion?: number | undefined;
}

export interface ReplayPlan extends Comparison {
  readonly from: {
    readonly generation: number;
    readonly classifierVersion: number;
    readonly policyVersion: number;
  };
  readonly to: { readonly classifierVersion: number; readonly policyVersion: number };
  /** Whether the run facts of the live generation will do, or the log has to be read. */
  readonly madeBy: 'facts' | 'full';
  readonly eventsToRead: number;
  readonly runsToRead: number;
  readonly estimatedSeconds: number;
  /** Events (or runs) a second on which the estimate rests where no build of that kind was measured; else null. */
  readonly assumedPerSecond: number | null;
}

export interface PlanRequest extends Candidate {
  /** Reads the log even where the live generation's run facts would do. */
  readonly full?: boolean | undefined;
}

/** About what builds took on a busy machine with two cores (docs/performance.md): events from the log, runs from facts. */
const ASSUMED_PER_SECOND = { full: 8_000, facts: 6_000 } as const;

const RUNS_PER_READ = 2_000;

/**
 * What a rebuild would change, without rebuilding anything: judges the live generation's run facts, all of one snapshot,
 * by the rules in force and by the candidate's. Reads only. Throws when a version does not exist.
 */
export async function planReplay(
  { pool, store, surfaces }: OperatorContext,
  { full = false, ...candidate }: PlanRequest,
  asOf: Instant,
): Promise<ReplayPlan> {
  const live = await requireLive(pool);
  const { classifierVersion, policyVersion } = candidateOf(live, candidate);
  const before = await judgeFor(pool, live);
  const after = judgeWith(classifierVersion, await loadPolicy(pool, policyVersion));
  const activeOnly = await endedAlike(pool, live, { classifierVersion, policyVersion });
  const tally = new MatrixTally();
  await inSnapshot(pool, async (client) => {
    if (activeOnly) await tallyEnded(client, live, tally);
    const pages = cursorPages<Pick<StoredFacts, 'facts' | 'incomplete'>>(
      client,
      `select facts, incomplete from ${live.schema}.run_facts where ${activeOnly ? 'active' : 'true'}`,
      RUNS_PER_READ,
    );
    for await (const rows of pages)
      for (const { facts: document, incomplete } of rows) {
        const facts = factsOf(document);
        const [old, now] = [before(facts), after(facts)];
        tally.add(
          {
            workspaceId: facts.workspaceId,
            runId: facts.runId,
            from: verdictAt(old, asOf, incomplete).problemClass,
            to: verdictAt(now, asOf, incomplete).problemClass,
          },
          () => divergence({ facts, timeline: old }, { facts, timeline: now }),
        );
      }
  });
  const comparison = tally.comparison(asOf);
  const rules = { classifierVersion, policyVersion };
  const madeBy = !full && (await factsWillDo({ pool, surfaces }, live, rules)) ? 'facts' : 'full';
  const { events } = await store.pending(START, COUNT_ALL);
  return {
    from: {
      generation: live.id,
      classifierVersion: live.classifierVersion,
      policyVersion: live.policyVersion,
    },
    to: rules,
    madeBy,
    eventsToRead: madeBy === 'facts' ? 0 : events,
    runsToRead: madeBy === 'facts' ? comparison.runs : 0,
    ...(await estimate(pool, madeBy, madeBy === 'facts' ? comparison.runs : events)),
    ...comparison,
  };
}

/** An ended run has its class for good. */
async function tallyEnded(
  client: Pick<PoolClient, 'query'>,
  { schema }: Generation,
  tally: MatrixTally,
): Promise<void> {
  const { rows } = await client.query<{ workspace: string; problem_class: ProblemClass; runs: number }>(
    `select workspace_id as workspace, problem_class, count(*)::int as runs
     from ${schema}.run_facts where not active group by 1, 2`,
  );
  for (const { workspace, problem_class, runs } of rows) tally.addUnchanged(workspace, problem_class, runs);
}

export async function requireLive(pool: Pool): Promise<Generation> {
  const live = await liveGeneration(pool);
  if (!live) throw new Error('there is no live generation: start a projector first');
  return live;
}

export function candidateOf(live: Generation, { classifierVersion, policyVersion }: Candidate) {
  return {
    classifierVersion: classifierVersion ?? live.classifierVersion,
    policyVersion: policyVersion ?? live.policyVersion,
  };
}

/**
 * Whether a rebuild by these rules may start from the live generation's tables. Not when its tables are of another version,
 * nor by the same rules, nor when an audit has found its rows wrong: a copy would hold the same ones.
 */
export async function factsWillDo(
  { pool, surfaces }: Pick<OperatorContext, 'pool' | 'surfaces'>,
  live: Generation,
  { classifierVersion, policyVersion }: ReplayPlan['to'],
): Promise<boolean> {
  const sameRules = classifierVersion === live.classifierVersion && policyVersion === live.policyVersion;
  return !sameRules && isOfSurfaces(live, surfaces) && (await foundWrongIn(pool, live)) === null;
}

/** Seconds that `work` (events or runs) will take at the rate of the last finished builds of that kind, or at an assumed one. */
async function estimate(
  pool: Pool,
  madeBy: 'facts' | 'full',
  work: number,
): Promise<Pick<ReplayPlan, 'estimatedSeconds' | 'assumedPerSecond'>> {
  const { rows } = await pool.query<{ rate: number | null }>(
    `select sum(work_total)::float8 / nullif(sum(extract(epoch from ready_at - started_at) - idle_seconds), 0)::float8 as rate
     from (select * from opstruth.generations
           where made_by = $1 and ready_at is not null and work_total > 0 order by id desc limit 5) recent`,
    [madeBy],
  );
  const rate = rows[0]?.rate;
  if (rate) return { estimatedSeconds: work / rate, assumedPerSecond: null };
  const assumed = ASSUMED_PER_SECOND[madeBy];
  return { estimatedSeconds: work / assumed, assumedPerSecond: assumed };
}
