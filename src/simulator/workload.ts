import type { RunCommand } from '../domain/decider';
import { instantOf, micros } from '../events/instant';
import type { Instant } from '../events/instant';
import type { Failure, TerminalOutcome } from '../events/operation-run-events';
import { createRandom } from './random';
import type { Random } from './random';
import { TimeQueue } from './time-queue';

export interface WorkloadOptions {
  /** The same seed gives the same commands. */
  readonly seed: number;
  readonly runs: number;
  readonly start: Instant;
  /** Mean time between two runs being queued. */
  readonly meanGapSeconds: number;
  readonly workspaces: number;
  readonly tenantsPerWorkspace: number;
  /** How long a run of average size works. Heartbeats come every `heartbeatSeconds` of it. */
  readonly meanRunSeconds: number;
  readonly heartbeatSeconds: number;
  /** Put before every run id, so that several workloads share one log. */
  readonly idPrefix: string;
}

export interface SimulatedCommand {
  readonly runId: string;
  readonly command: RunCommand;
}

export const SIMULATED_TYPES = ['sync', 'backup', 'restore', 'export', 'import', 'report'] as const;

/** What becomes of runs, in percent. The rest succeeds. */
const FATES = {
  failed: 6,
  partially_succeeded: 4,
  blocked: 2,
  cancelled: 3,
  /** Queued and never picked up. */
  never_started: 1,
  /** Its worker dies without a word. */
  silent: 2,
  /** Its worker goes silent for very long, but finishes, after everybody has given up on it. */
  late: 1,
} as const;
type Fate = keyof typeof FATES | 'succeeded';

const FAILURES: readonly Omit<Failure, 'count'>[] = [
  { code: 'rate_limited', message: 'The remote service answered 429 for longer than the retry budget.' },
  { code: 'permission_denied', message: 'The service account lost a role that this operation needs.' },
  { code: 'connection_reset', message: 'The connection was reset while reading the response.' },
  { code: 'invalid_item', message: 'Items were refused by the target for invalid fields.' },
];

interface Step extends SimulatedCommand {
  readonly then: (() => void) | null;
}

/**
 * The commands of many overlapping operation runs, in order of time: what workers, schedulers and operators would
 * send. Deterministic, lazy, memory bounded by the runs active at once. Reconciliation is left to the reconciler,
 * except that `late` runs report long after any sensible policy has failed them.
 */
export function* simulateWorkload(options: WorkloadOptions): Generator<SimulatedCommand> {
  const random = createRandom(options.seed);
  const steps = new TimeQueue<Step>();
  let queued = 0;
  let arrival = micros(options.start);

  const schedule = (
    atMicros: number,
    runId: string,
    command: Unscheduled,
    then: (() => void) | null = null,
  ) => {
    const at = instantOf(Math.round(atMicros / 1000) * 1000);
    steps.push(micros(at), { runId, command: { ...command, at }, then });
  };
  const arrive = () => {
    if (queued === options.runs) return;
    const runId = `${options.idPrefix}${String(queued).padStart(7, '0')}`;
    queued += 1;
    const { workspace, tenantId } = place(random, options);
    schedule(
      arrival,
      runId,
      {
        kind: 'queue',
        workspaceId: `workspace-${workspace}`,
        tenantId,
        type: random.pick(SIMULATED_TYPES),
        initiator: random.chance(0.8) ? `user-${random.integer(1, 20)}@workspace-${workspace}.example` : null,
        context: { trigger: random.pick(['schedule', 'manual', 'webhook']) },
        summaryCounts: null,
        predecessorRunId: null,
        origin: null,
      },
      arrive,
    );
    live(runId, arrival, random, options, schedule);
    arrival += random.exponential(options.meanGapSeconds) * 1_000_000;
  };
  arrive();
  for (let step = steps.pop(); step; step = steps.pop()) {
    step.then?.();
    yield { runId: step.runId, command: step.command };
  }
}

type Unscheduled = RunCommand extends infer C ? (C extends RunCommand ? Omit<C, 'at'> : never) : never;
type Schedule = (atMicros: number, runId: string, command: Unscheduled) => void;

/** Everything that happens to one run after it was queued. */
function live(
  runId: string,
  queuedAt: number,
  random: Random,
  options: WorkloadOptions,
  schedule: Schedule,
): void {
  const fate = fateOf(random);
  if (fate === 'never_started') return;
  const second = 1_000_000;
  const startedAt = queuedAt + random.exponential(5) * second;
  schedule(startedAt, runId, { kind: 'start' });
  const workSeconds = Math.max(1, random.exponential(options.meanRunSeconds));
  const total = random.integer(10, 5_000);
  const silentAfter = fate === 'silent' || fate === 'late' ? random.between(0.1, 0.6) : 1;
  for (let t = options.heartbeatSeconds; t < workSeconds * silentAfter; t += options.heartbeatSeconds) {
    const processed = Math.floor((total * t) / workSeconds);
    schedule(startedAt + t * second, runId, {
      kind: 'progress',
      summaryCounts: random.chance(0.9) ? { total, processed } : null,
    });
  }
  if (fate === 'silent') return;
  const endedAt = startedAt + (fate === 'late' ? workSeconds + LATE_SECONDS : workSeconds) * second;
  if (fate === 'cancelled') schedule(endedAt, runId, { kind: 'cancel', reason: 'no longer needed' });
  else schedule(endedAt, runId, completion(fate === 'late' ? 'succeeded' : fate, total, random));
  if ((fate === 'failed' || fate === 'blocked') && random.chance(0.4))
    schedule(endedAt + random.exponential(600) * second, runId, {
      kind: 'resolve',
      note: 'known issue, ticket filed',
    });
}

/** Two days: past every default reconcile deadline. */
const LATE_SECONDS = 172_800;

function completion(outcome: TerminalOutcome, total: number, random: Random): Unscheduled {
  const bad = outcome === 'succeeded' ? 0 : random.integer(1, total);
  return {
    kind: 'complete',
    outcome,
    summaryCounts: { total, processed: total - bad, failed: bad },
    failureSummary: bad === 0 ? [] : [{ ...random.pick(FAILURES), count: bad }],
    reasonCode: outcome === 'blocked' ? 'quota_exhausted' : null,
    reason: outcome === 'blocked' ? 'the target refuses further writes until its quota is raised' : null,
  };
}

function fateOf(random: Random): Fate {
  let percent = random.between(0, 100);
  for (const [fate, share] of Object.entries(FATES) as [keyof typeof FATES, number][]) {
    if (percent < share) return fate;
    percent -= share;
  }
  return 'succeeded';
}

/** Busy and quiet tenants: squaring the draw gives the first ones most of the work. One run in twenty has no tenant. */
function place(random: Random, options: WorkloadOptions): { workspace: number; tenantId: string | null } {
  const workspace = 1 + Math.floor(random.between(0, 1) ** 2 * options.workspaces);
  const tenant = 1 + Math.floor(random.between(0, 1) ** 2 * options.tenantsPerWorkspace);
  return { workspace, tenantId: random.chance(0.05) ? null : `tenant-${tenant}` };
}
