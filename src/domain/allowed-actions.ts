import type { Instant } from '../events/instant';
import type { Judge } from './classification';
import { decide } from './decider';
import type { RunCommand, RunCommandKind } from './decider';
import type { RunFacts } from './run-facts';

export interface Question {
  readonly at: Instant;
  /** The newest retry of the run, unless it is known to be over. */
  readonly activeSuccessorRunId: string | null;
}

const unreported = { summaryCounts: null, failureSummary: [], reasonCode: null, reason: null };
const REASON = 'a reason';

/** What anybody may ask of a run that exists. Reconciling is the system's own business and never offered. */
const PROBES = {
  start: ({ at }) => ({ kind: 'start', at }),
  progress: ({ at }) => ({ kind: 'progress', at, summaryCounts: null }),
  complete: ({ at }) => ({ kind: 'complete', at, outcome: 'succeeded', ...unreported }),
  cancel: ({ at }) => ({ kind: 'cancel', at, reason: null }),
  'mark-failed': ({ at }) => ({ kind: 'mark-failed', at, by: '', reason: REASON }),
  resolve: ({ at }) => ({ kind: 'resolve', at, note: null }),
  reopen: ({ at }) => ({ kind: 'reopen', at, note: null }),
  retry: ({ at, activeSuccessorRunId }) => ({
    kind: 'retry',
    at,
    successorRunId: '',
    reason: REASON,
    activeSuccessorRunId,
  }),
} satisfies Partial<Record<RunCommandKind, (question: Question) => RunCommand>>;

export type AskedKind = keyof typeof PROBES;
const ASKED = Object.keys(PROBES) as AskedKind[];

/**
 * The command with which the decider is asked whether it would accept one of its kind: with a reason, for whether one is
 * needed is told when the command is sent, and with nothing else of its own.
 */
export function probe(kind: AskedKind, question: Question): RunCommand {
  return PROBES[kind](question);
}

/**
 * The commands that would move the run at `at`: what a refusal offers instead. The decider itself is asked, so that
 * an offer is never refused (for want of a reason at most). A retry is offered only when the newest successor is
 * known to be over: `activeSuccessorRunId` null says so, absent says that nobody has looked.
 */
export function allowedActions(
  facts: RunFacts | null,
  at: Instant,
  judge: Judge,
  activeSuccessorRunId: string | null = facts?.successorRunIds.at(-1) ?? null,
): (AskedKind | 'queue')[] {
  if (!facts) return ['queue'];
  return ASKED.filter((kind) => {
    const decision = decide(facts, probe(kind, { at, activeSuccessorRunId }), judge);
    return decision.accepted && decision.events.some(({ type }) => type !== 'OperationRunLateReportRecorded');
  });
}
