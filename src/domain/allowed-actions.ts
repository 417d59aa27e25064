import type { Instant } from '../events/instant';
import type { Judge } from './classification';
import { decide } from './decider';
import type { RunCommand, RunCommandKind } from './decider';
import type { RunFacts } from './run-facts';

const unreported = { summaryCounts: null, failureSummary: [], reasonCode: null, reason: null };
const REASON = 'a reason';

/** What anybody may ask of a run that exists. Reconciling is the system's own business and never offered. */
const PROBES: readonly ((at: Instant, activeSuccessorRunId: string | null) => RunCommand)[] = [
  (at) => ({ kind: 'start', at }),
  (at) => ({ kind: 'progress', at, summaryCounts: null }),
  (at) => ({ kind: 'complete', at, outcome: 'succeeded', ...unreported }),
  (at) => ({ kind: 'cancel', at, reason: null }),
  (at) => ({ kind: 'mark-failed', at, by: '', reason: REASON }),
  (at) => ({ kind: 'resolve', at, note: null }),
  (at) => ({ kind: 'reopen', at, note: null }),
  (at, activeSuccessorRunId) => ({
    kind: 'retry',
    at,
    successorRunId: '',
    reason: REASON,
    activeSuccessorRunId,
  }),
];

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
): RunCommandKind[] {
  if (!facts) return ['queue'];
  return PROBES.flatMap((probe) => {
    const command = probe(at, activeSuccessorRunId);
    const decision = decide(facts, command, judge);
    const moves =
      decision.accepted && decision.events.some(({ type }) => type !== 'OperationRunLateReportRecorded');
    return moves ? [command.kind] : [];
  });
}
