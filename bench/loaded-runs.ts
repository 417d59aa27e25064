import { surfaces } from '../projections/surfaces';
import type { ClassifiedRun } from '../src/classifier/classified-run';
import type { Judge } from '../src/domain/classification';
import { decide } from '../src/domain/decider';
import type { RunCommand } from '../src/domain/decider';
import { evolve } from '../src/domain/run-facts';
import type { RunFacts } from '../src/domain/run-facts';
import { addSeconds, isLater } from '../src/events/instant';
import type { Instant } from '../src/events/instant';
import { streamOf } from '../src/events/operation-run-events';
import { START } from '../src/events/position';
import { classify } from '../src/projector/fold-batch';
import type { Runtime } from '../src/runtime/runtime';
import { simulateWorkload } from '../src/simulator/workload';
import { openTableLoader } from './table-loader';

export interface LoadedRuns {
  readonly runs: number;
  readonly active: number;
  readonly workspaces: number;
  readonly tenantsPerWorkspace: number;
  /** The id of the nth run. */
  readonly runId: (nth: number) => string;
}

const WORKSPACES = 20;
const TENANTS_PER_WORKSPACE = 50;
const DAY_SECONDS = 86_400;
/** Simulated together: as many as fit into memory with all their facts. */
const SLICE_RUNS = 50_000;
/** Written together. */
const CHUNK_RUNS = 5_000;

/**
 * Fills the live generation with the last day of a platform: runs of 15 minutes, a heartbeat every five, those past their
 * deadline failed by the reconciler. One run in a hundred is active at the end, which is now.
 */
export async function loadRuns(
  { pool, generation, live, clock }: Runtime,
  runs: number,
): Promise<LoadedRuns> {
  const now = clock.now();
  const loader = await openTableLoader(pool, generation, surfaces);
  const judge = live.current();
  let position = 0;
  let active = 0;
  for (let first = 0; first < runs; first += SLICE_RUNS) {
    const facts = factsOfSlice({ first, runs, now, judge });
    let chunk: ClassifiedRun[] = [];
    for (const one of facts) {
      position += one.version;
      if (one.status !== 'completed') active += 1;
      chunk.push(classify(one, judge, `1.${position}`, false));
      if (chunk.length < CHUNK_RUNS) continue;
      await loader.add(chunk);
      chunk = [];
    }
    await loader.add(chunk);
  }
  await loader.finish({ commit: 1n, prepare: BigInt(position) });
  return { runs, active, workspaces: WORKSPACES, tenantsPerWorkspace: TENANTS_PER_WORKSPACE, runId };
}

function runId(nth: number): string {
  const slice = Math.floor(nth / SLICE_RUNS);
  return `${prefixOf(slice)}${String(nth % SLICE_RUNS).padStart(7, '0')}`;
}

function prefixOf(slice: number): string {
  return `run-${slice}-`;
}

interface Slice {
  /** The number of its first run. */
  readonly first: number;
  /** Runs of all slices. */
  readonly runs: number;
  readonly now: Instant;
  readonly judge: Judge;
}

/** The runs of a slice as they are now. */
function factsOfSlice({ first, runs, now, judge }: Slice): RunFacts[] {
  const meanGapSeconds = DAY_SECONDS / runs;
  const slice = first / SLICE_RUNS;
  const known = new Map<string, RunFacts>();
  const commands = simulateWorkload({
    seed: 1 + slice,
    runs: Math.min(SLICE_RUNS, runs - first),
    start: addSeconds(now, first * meanGapSeconds - DAY_SECONDS),
    meanGapSeconds,
    workspaces: WORKSPACES,
    tenantsPerWorkspace: TENANTS_PER_WORKSPACE,
    meanRunSeconds: 900,
    heartbeatSeconds: 300,
    idPrefix: prefixOf(slice),
  });
  for (const { runId: id, command } of commands) {
    const before = known.get(id) ?? null;
    // The last runs are queued a little after their day by chance; they count as queued now.
    const atNow = isLater(command.at, now);
    if (atNow && command.kind !== 'queue') continue;
    const after = apply(id, before, atNow ? { ...command, at: now } : command, judge);
    if (after) known.set(id, after);
  }
  return [...known].map(([id, facts]) => reconciled(id, facts, now, judge));
}

/** What the reconciler has made of it by now. */
function reconciled(id: string, facts: RunFacts, now: Instant, judge: Judge): RunFacts {
  const { reconcileDueAt } = judge(facts);
  if (facts.status === 'completed' || reconcileDueAt === null) return facts;
  const at = addSeconds(reconcileDueAt, 5);
  if (isLater(at, now)) return facts;
  return apply(id, facts, { kind: 'reconcile', at, by: 'reconciler' }, judge) ?? facts;
}

/** Null when the decider refuses. */
function apply(id: string, before: RunFacts | null, command: RunCommand, judge: Judge): RunFacts | null {
  const decision = decide(before, command, judge);
  if (!decision.accepted) return null;
  let facts = before;
  for (const event of decision.events)
    facts = evolve(facts, {
      ...event,
      eventId: NO_ID,
      streamId: streamOf(id),
      revision: facts?.version ?? 0,
      position: START,
      metadata: {
        actor: 'bench',
        plane: 'worker',
        commandId: NO_ID,
        correlationId: NO_ID,
        causationId: NO_ID,
      },
    });
  return facts;
}

/** No table keeps the ids of events. */
const NO_ID = '00000000-0000-5000-8000-000000000000';
