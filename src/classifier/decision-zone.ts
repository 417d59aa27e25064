import type { RunFacts } from '../domain/run-facts';
import type { Instant } from '../events/instant';
import type { ClassifiedRun } from './classified-run';
import { present } from './presenter';
import { storedRun, subjectOf } from './run-row';
import type { StoredRun } from './run-row';

/** What the detail page of a run says before it offers any action. */
export interface DecisionZone {
  readonly what: string;
  readonly why: string;
  /** What the verdict rests on, in the order to read it. */
  readonly evidence: readonly { readonly label: string; readonly value: string }[];
  readonly next: string;
}

/** The decision zone of a run at `asOf`, in the words that every list uses too. */
export function decisionOf(run: ClassifiedRun, asOf: Instant): DecisionZone {
  const stored = storedRun(run);
  const { label, why, guidance } = present(subjectOf(stored, asOf));
  return { what: label, why, evidence: evidenceOf(stored, run), next: guidance };
}

type Line = readonly [label: string, value: string | null];

/** Beside what a list knows of the run: all of its failures, of which a stored run holds the first few, and its counts. */
function evidenceOf(run: StoredRun, { facts, timeline }: ClassifiedRun): DecisionZone['evidence'] {
  const { successorRunIds } = facts;
  const lines: Line[] = [
    ['Queued', run.queuedAt],
    ['Started', run.startedAt],
    ['Last heartbeat', run.lastHeartbeatAt],
    ...(run.status === 'completed' ? end(run, facts) : deadlines(run, facts)),
    ...lineage(run),
    ['Late report', lateReport(run)],
    ['Retry of', run.predecessorRunId],
    ['Retried as', successorRunIds.length > 0 ? successorRunIds.join(', ') : null],
    ['Policy version', String(timeline.policyVersion)],
    ['Behind the log', run.incomplete ? `known up to version ${run.version}; a later event is parked` : null],
  ];
  return lines.flatMap(([label, value]) => (value === null ? [] : [{ label, value }]));
}

function deadlines(run: StoredRun, { progressMovedAt, heartbeatsSinceProgress }: RunFacts): Line[] {
  return [
    // A worker may beat and get nowhere: not every policy has a limit for that, but a person reading this will see it.
    ['Counts last moved', progressMovedAt],
    ['Heartbeats without new counts', heartbeatsSinceProgress > 0 ? String(heartbeatsSinceProgress) : null],
    [
      run.stalledSince === undefined ? 'Limit of silence' : 'Limit without new counts',
      seconds(run.thresholdSeconds),
    ],
    ['Counts as stuck after', run.staleAt],
    ['Failed automatically after', run.reconcileDueAt],
  ];
}

function end(run: StoredRun, { reason, failureSummary }: RunFacts): Line[] {
  return [
    ['Completed', run.completedAt],
    ['Outcome', run.outcome],
    ['Reason code', run.reasonCode],
    ['Reason', reason],
    ...failureSummary.map(({ code, message, count }): Line => ['Failure', `${code} (${count}): ${message}`]),
  ];
}

function lineage({ evidence }: StoredRun): Line[] {
  if (evidence === null) return [];
  return [
    ['Stuck since', evidence.firstStaleAt],
    ['Limit that passed', evidence.thresholdSeconds === 0 ? null : seconds(evidence.thresholdSeconds)],
    ['Status before', evidence.priorStatus],
    ['Reconciled', evidence.reconciledAt],
    ['Reconciled by', evidence.reconciledBy],
    ['Policy version then', String(evidence.policyVersion)],
  ];
}

function lateReport({ lateReport: late }: StoredRun): string | null {
  return late && `${late.outcome ?? late.kind}, at ${late.occurredAt}`;
}

function seconds(number: number | null): string | null {
  return number === null ? null : `${number} s`;
}
