import type { Outcome, StaleEvidence } from '../events/operation-run-events';
import type { Subject } from './subject';

/** Why a run is what its label says: the cause, the limit and the last sign of life. Instants only, no relative time. */
export function whyOf(subject: Subject): string {
  const parts = [
    subject.status === 'completed' ? whyEnded(subject) : whyActive(subject),
    lateReport(subject),
    subject.incomplete ? 'What is shown may be behind: a later event of this run could not be read.' : null,
  ];
  return parts.filter((part) => part !== null).join(' ');
}

function whyActive(subject: Subject): string {
  const stale = subject.problemClass === 'active_stale_attention';
  if (stale) {
    return `${standstill(subject)}: the limit of ${subject.thresholdSeconds} s passed at ${subject.staleAt}.`;
  }
  return `${lastKnown(subject)} ${limit(subject)}`;
}

function standstill(subject: Subject): string {
  if (subject.status === 'queued') return notStarted(subject);
  return subject.stalledSince === undefined ? noHeartbeat(subject) : noProgress(subject);
}

/** True of a worker that beats on and of one that has gone silent since: neither the row nor the words know which. */
function noProgress({ stalledSince, startedAt, lastHeartbeatAt }: Subject): string {
  const since = stalledSince === startedAt ? `it started at ${startedAt}` : stalledSince;
  return `No new counts since ${since}, though last heard from at ${lastHeartbeatAt}`;
}

function notStarted({ queuedAt, lastHeartbeatAt }: Subject): string {
  const heard = lastHeartbeatAt === null ? '' : ` (last heard from at ${lastHeartbeatAt})`;
  return `Queued at ${queuedAt} and not started${heard}`;
}

function noHeartbeat({ queuedAt, startedAt, lastHeartbeatAt }: Subject): string {
  return lastHeartbeatAt === null
    ? `No heartbeat since it started at ${startedAt ?? queuedAt}`
    : `No heartbeat since ${lastHeartbeatAt}`;
}

function lastKnown({ status, queuedAt, startedAt, lastHeartbeatAt }: Subject): string {
  const began = status === 'queued' ? `Queued at ${queuedAt}` : `Started at ${startedAt ?? queuedAt}`;
  if (lastHeartbeatAt !== null) return `${began}; last heartbeat at ${lastHeartbeatAt}.`;
  return status === 'queued' ? `${began}.` : `${began}; no heartbeat yet.`;
}

function limit({ status, type, staleAt, stalledSince, thresholdSeconds }: Subject): string {
  if (stalledSince !== undefined)
    return `It counts as stuck if its counts have not moved by ${staleAt}: the limit is ${thresholdSeconds} s.`;
  const waiting = status === 'queued' ? 'stay queued' : 'be silent';
  return staleAt === null
    ? `Policy sets no limit on how long runs of type ${type} may ${waiting}.`
    : `It counts as stuck if nothing is heard of it by ${staleAt}: the limit is ${thresholdSeconds} s.`;
}

function whyEnded(subject: Subject): string {
  return subject.evidence ? whyReconciled(subject.evidence, subject) : whyReported(subject);
}

function whyReconciled(evidence: StaleEvidence, { outcome }: Subject): string {
  const { reconciledBy, reconciledAt, reason } = evidence;
  switch (evidence.reasonCode) {
    case 'stale_queued':
    case 'stale_running':
      // The evidence's own reason says the same as the sentence on its silence.
      return `Failed by ${reconciledBy} at ${reconciledAt} because it was silent, not because its worker said so. ${silence(evidence)}`;
    case 'marked_failed':
      return `Marked failed by ${reconciledBy} at ${reconciledAt}: ${sentence(reason)} ${silence(evidence)}`;
    default:
      return `Closed as ${reported(outcome)} by ${reconciledBy} at ${reconciledAt}: ${sentence(reason)} ${silence(evidence)}`;
  }
}

function silence({ staleKind, lastHeartbeatAt, firstStaleAt, thresholdSeconds }: StaleEvidence): string {
  const never = staleKind === 'stale_queued' ? 'It had not started' : 'It had never sent a heartbeat';
  const heard = lastHeartbeatAt === null ? never : `It was last heard from at ${lastHeartbeatAt}`;
  const since = firstStaleAt === null ? '' : ` and counted as stuck from ${firstStaleAt} on`;
  // Zero: the run was exempt from staleness here, and it was its source that gave it up.
  return thresholdSeconds === 0 ? `${heard}${since}.` : `${heard}${since} (limit ${thresholdSeconds} s).`;
}

function whyReported(subject: Subject): string {
  const { completedAt, outcome } = subject;
  const lead = outcome === 'cancelled' ? 'Cancelled' : `Its worker reported ${reported(outcome)}`;
  const parts = [`${lead} at ${completedAt ?? 'an unknown time'}.`, reason(subject), failures(subject)];
  return parts.filter((part) => part !== null).join(' ');
}

function reason({ reason: text, reasonCode }: Subject): string | null {
  if (text === null || text.trim() === '') return reasonCode === null ? null : `Reason: ${reasonCode}.`;
  return reasonCode === null ? `Reason: ${sentence(text)}` : `Reason (${reasonCode}): ${sentence(text)}`;
}

function failures({ failures: first, failureKinds, failureMessage }: Subject): string | null {
  if (first.length === 0) return null;
  const codes = first.map(({ code, count }) => `${code} (${count})`).join(', ');
  const more = failureKinds > first.length ? ` and ${failureKinds - first.length} more kinds` : '';
  return failureMessage
    ? `Failures: ${codes}${more}; the first said: ${sentence(failureMessage)}`
    : `Failures: ${codes}${more}.`;
}

function lateReport({ lateReport: late }: Subject): string | null {
  if (late === null) return null;
  return late.outcome === null
    ? `Its worker was still heard from at ${late.occurredAt}.`
    : `Its worker later reported ${reported(late.outcome)}, at ${late.occurredAt}.`;
}

function reported(outcome: Outcome): string {
  return outcome.replace('_', ' ');
}

function sentence(text: string): string {
  const trimmed = text.trim();
  return /[.!?…]$/.test(trimmed) ? trimmed : `${trimmed}.`;
}
