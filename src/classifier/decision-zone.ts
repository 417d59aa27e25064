import type { Instant } from '../events/instant';
import type { Failure } from '../events/operation-run-events';
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

/** What the decision zone shows beyond a run's list row, JSON-able: the detail's table keeps it beside the stored run. */
export interface DecisionDetail {
  readonly reason: string | null;
  /** All of them; a stored run holds the first few. */
  readonly failures: readonly Failure[];
  readonly successorRunIds: readonly string[];
  readonly progressMovedAt: Instant | null;
  readonly heartbeatsSinceProgress: number;
  readonly policyVersion: number;
}

export function decisionDetail({ facts, timeline }: ClassifiedRun): DecisionDetail {
  return {
    reason: facts.reason,
    failures: facts.failureSummary,
    successorRunIds: facts.successorRunIds,
    progressMovedAt: facts.progressMovedAt,
    heartbeatsSinceProgress: facts.heartbeatsSinceProgress,
    policyVersion: timeline.policyVersion,
  };
}

/** The decision zone of a run at `asOf`, in the words that every list uses too. */
export function decisionOf(run: ClassifiedRun, asOf: Instant): DecisionZone {
  return decisionFrom(storedRun(run), decisionDetail(run), asOf);
}

/** The same from what the tables keep of the run. */
export function decisionFrom(stored: StoredRun, detail: DecisionDetail, asOf: Instant): DecisionZone {
  const { label, why, guidance } = present(subjectOf(stored, asOf));
  return { what: label, why, evidence: evidenceOf(stored, detail), next: guidance };
}

type Line = readonly [label: string, value: string | null];

function evidenceOf(run: StoredRun, detail: DecisionDetail): DecisionZone['evidence'] {
  const { successorRunIds, policyVersion } = detail;
  const lines: Line[] = [
    ['Queued', run.queuedAt],
    ['Started', run.startedAt],
    ['Last heartbeat', run.lastHeartbeatAt],
    ...(run.status === 'completed' ? end(run, detail) : deadlines(run, detail)),
    ...lineage(run),
    ['Late report', lateReport(run)],
    ['Retry of', run.predecessorRunId],
    ['Retried as', successorRunIds.length > 0 ? successorRunIds.join(', ') : null],
    ['Policy version', String(policyVersion)],
    ['Behind the log', run.incomplete ? `known up to version ${run.version}; a later event is parked` : null],
  ];
  return lines.flatMap(([label, value]) => (value === null ? [] : [{ label, value }]));
}

function deadlines(run: StoredRun, { progressMovedAt, heartbeatsSinceProgress }: DecisionDetail): Line[] {
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

function end(run: StoredRun, { reason, failures }: DecisionDetail): Line[] {
  return [
    ['Completed', run.completedAt],
    ['Outcome', run.outcome],
    ['Reason code', run.reasonCode],
    ['Reason', reason],
    ...failures.map(({ code, message, count }): Line => ['Failure', `${code} (${count}): ${message}`]),
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
