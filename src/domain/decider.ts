import type { Instant } from '../events/instant';
import { isLater } from '../events/instant';
import type {
  Failure,
  RunEvent,
  StaleEvidence,
  SummaryCounts,
  TerminalOutcome,
} from '../events/operation-run-events';
import type { Judge } from './classification';
import type { RunFacts } from './run-facts';

/** What somebody wants to happen to one run, at the source's own time. */
export type RunCommand =
  | {
      readonly kind: 'queue';
      readonly at: Instant;
      readonly workspaceId: string;
      readonly tenantId: string | null;
      readonly type: string;
      readonly initiator: string | null;
      readonly context: Record<string, JsonValue>;
      readonly summaryCounts: SummaryCounts | null;
      readonly predecessorRunId: string | null;
      readonly origin: string | null;
    }
  | { readonly kind: 'start'; readonly at: Instant }
  | { readonly kind: 'progress'; readonly at: Instant; readonly summaryCounts: SummaryCounts | null }
  | {
      readonly kind: 'complete';
      readonly at: Instant;
      readonly outcome: TerminalOutcome;
      readonly summaryCounts: SummaryCounts | null;
      readonly failureSummary: Failure[];
      readonly reasonCode: string | null;
      readonly reason: string | null;
    }
  | { readonly kind: 'cancel'; readonly at: Instant; readonly reason: string | null }
  /** The reconciler's: fails a run that policy says is past `reconcileDueAt`. */
  | { readonly kind: 'reconcile'; readonly at: Instant; readonly by: string }
  /** A trace's own reconciliation: the source has already decided, so policy has no say. */
  | {
      readonly kind: 'record-reconciliation';
      readonly at: Instant;
      readonly by: string;
      readonly outcome: TerminalOutcome;
      readonly reason: string;
    }
  /** An operator's: fails a run that is stale now. */
  | {
      readonly kind: 'mark-failed';
      readonly at: Instant;
      readonly by: string;
      readonly reason: string | null;
    }
  | { readonly kind: 'resolve'; readonly at: Instant; readonly note: string | null }
  | { readonly kind: 'reopen'; readonly at: Instant; readonly note: string | null }
  | {
      readonly kind: 'retry';
      readonly at: Instant;
      readonly successorRunId: string;
      readonly reason: string | null;
      /** Whether a successor of an earlier retry is still queued or running, as its own stream says. */
      readonly activeSuccessorRunId: string | null;
    };

export type RunCommandKind = RunCommand['kind'];

type JsonValue = string | number | boolean | null | JsonValue[] | { [key: string]: JsonValue };

export interface Rejection {
  readonly code:
    | 'run_not_found'
    | 'run_already_exists'
    | 'illegal_transition'
    | 'not_stale'
    | 'not_due'
    | 'nothing_to_follow_up'
    | 'not_retryable'
    | 'successor_active'
    | 'reason_required';
  readonly message: string;
}

/** Accepted with the events to append (none: the run is already as asked), or refused with the facts unchanged. */
export type Decision =
  | { readonly accepted: true; readonly events: readonly RunEvent[] }
  | { readonly accepted: false; readonly rejection: Rejection };

/**
 * The events that `command` causes on a run with these facts. Pure: policy enters through `judge`, the present
 * through `command.at`. Nothing leaves a terminal state; a worker's word on a reconciled run becomes evidence.
 */
export function decide(facts: RunFacts | null, command: RunCommand, judge: Judge): Decision {
  if (command.kind === 'queue') return facts ? alreadyExists(facts) : accept(queuedEvent(command));
  if (!facts) return reject('run_not_found', 'there is no such run');
  const active = facts.status !== 'completed';
  const occurredAt = command.at;
  switch (command.kind) {
    case 'start':
      if (!active) return lateOrIllegal(facts, command);
      if (facts.status === 'running') return unchanged;
      return accept({ type: 'OperationRunStarted', data: { occurredAt } });
    case 'progress':
      if (!active) return lateOrIllegal(facts, command);
      return accept({
        type: 'OperationRunProgressed',
        data: { occurredAt, summaryCounts: command.summaryCounts },
      });
    case 'complete': {
      if (!active) return lateOrIllegal(facts, command);
      const { outcome, summaryCounts, failureSummary, reasonCode, reason } = command;
      return accept({
        type: 'OperationRunCompleted',
        data: { occurredAt, outcome, summaryCounts, failureSummary, reasonCode, reason },
      });
    }
    case 'cancel':
      if (facts.outcome === 'cancelled') return unchanged;
      if (!active) return illegal(facts, command);
      return accept({
        type: 'OperationRunCompleted',
        data: {
          occurredAt,
          outcome: 'cancelled',
          summaryCounts: null,
          failureSummary: [],
          reasonCode: 'cancelled_by_request',
          reason: command.reason,
        },
      });
    case 'reconcile': {
      if (!active) return illegal(facts, command);
      const due = judge(facts).reconcileDueAt;
      if (due === null) return reject('not_due', 'policy leaves runs of this type alone');
      if (!isLater(occurredAt, due)) return reject('not_due', `not to be reconciled before ${due}`);
      const evidence = staleEvidence(facts, command.at, judge);
      return accept(
        reconciledEvent('failed', {
          ...evidence,
          reconciledBy: command.by,
          reasonCode: evidence.staleKind,
          reason: staleReason(evidence),
        }),
      );
    }
    case 'record-reconciliation':
      if (!active) return lateOrIllegal(facts, command);
      return accept(
        reconciledEvent(command.outcome, {
          ...staleEvidence(facts, command.at, judge),
          reconciledBy: command.by,
          reasonCode: 'reconciled_at_source',
          reason: command.reason,
        }),
      );
    case 'mark-failed': {
      if (!active) return illegal(facts, command);
      const reason = command.reason?.trim();
      if (!reason) return reject('reason_required', 'marking a run failed needs a reason');
      const { staleAt } = judge(facts);
      if (staleAt === null || !isLater(occurredAt, staleAt))
        return reject(
          'not_stale',
          staleAt === null ? 'the run cannot go stale' : `the run is fresh until ${staleAt}`,
        );
      return accept(
        reconciledEvent('failed', {
          ...staleEvidence(facts, command.at, judge),
          reconciledBy: command.by,
          reasonCode: 'marked_failed',
          reason,
        }),
      );
    }
    case 'resolve':
      // Said again with another note it is a correction of the note, which must not be lost.
      if (
        facts.resolution === 'investigated' &&
        (command.note === null || command.note === resolvedNote(facts))
      )
        return unchanged;
      if (classAt(facts, occurredAt, judge) === 'none')
        return reject('nothing_to_follow_up', 'the run has no problem to investigate');
      return accept({ type: 'OperationRunFollowUpResolved', data: { occurredAt, note: command.note } });
    case 'reopen':
      if (facts.resolution === 'open') return unchanged;
      return accept({ type: 'OperationRunFollowUpReopened', data: { occurredAt, note: command.note } });
    case 'retry': {
      if (active) return illegal(facts, command);
      if (!judge(facts).retryable)
        return reject('not_retryable', `runs of type ${facts.type} cannot be retried`);
      if (command.activeSuccessorRunId !== null)
        return reject('successor_active', `run ${command.activeSuccessorRunId} already retries this one`);
      // The worker may have finished the work without our knowing: a person must say why to do it twice.
      if (facts.evidence && !command.reason?.trim())
        return reject(
          'reason_required',
          'retrying a reconciled run needs a reason: its work may have been done',
        );
      const { successorRunId, reason } = command;
      return accept({ type: 'OperationRunRetried', data: { occurredAt, successorRunId, reason } });
    }
  }
}

const unchanged: Decision = { accepted: true, events: [] };

function accept(event: RunEvent): Decision {
  return { accepted: true, events: [event] };
}

function reject(code: Rejection['code'], message: string): Decision {
  return { accepted: false, rejection: { code, message } };
}

function illegal(facts: RunFacts, command: RunCommand): Decision {
  const state = facts.status === 'completed' ? `completed (${facts.outcome})` : facts.status;
  return reject('illegal_transition', `cannot ${command.kind} run ${facts.runId}: it is ${state}`);
}

function alreadyExists(facts: RunFacts): Decision {
  return reject('run_already_exists', `run ${facts.runId} was queued at ${facts.queuedAt}`);
}

function queuedEvent(command: Extract<RunCommand, { kind: 'queue' }>): RunEvent {
  const { at, workspaceId, tenantId, type, initiator, context } = command;
  const { summaryCounts, predecessorRunId, origin } = command;
  return {
    type: 'OperationRunQueued',
    data: {
      occurredAt: at,
      workspaceId,
      tenantId,
      type,
      initiator,
      context,
      summaryCounts,
      predecessorRunId,
      origin,
    },
  };
}

/**
 * A worker's report on a run that somebody else has ended. On a reconciled run every report is evidence; on a
 * cancelled one only the completion is (the work was done after all). A run its own worker ended takes no more.
 */
function lateOrIllegal(
  facts: RunFacts,
  command: Extract<RunCommand, { kind: 'start' | 'progress' | 'complete' | 'record-reconciliation' }>,
): Decision {
  const keeps = facts.evidence !== null || (facts.outcome === 'cancelled' && command.kind === 'complete');
  if (!keeps || command.kind === 'record-reconciliation') return illegal(facts, command);
  const completion = command.kind === 'complete' ? command : null;
  return accept({
    type: 'OperationRunLateReportRecorded',
    data: {
      occurredAt: command.at,
      report: {
        kind: REPORTED[command.kind],
        outcome: completion?.outcome ?? null,
        summaryCounts: command.kind === 'start' ? null : command.summaryCounts,
        failureSummary: completion?.failureSummary ?? [],
      },
    },
  });
}

const REPORTED = { start: 'started', progress: 'progressed', complete: 'completed' } as const;

function resolvedNote({ timeline }: RunFacts): string | null {
  return timeline.findLast(({ event }) => event === 'OperationRunFollowUpResolved')?.note ?? null;
}

function classAt(facts: RunFacts, at: Instant, judge: Judge) {
  const { before, staleAt, after } = judge(facts);
  return (staleAt !== null && isLater(at, staleAt) ? after : before).problemClass;
}

function reconciledEvent(outcome: TerminalOutcome, evidence: StaleEvidence): RunEvent {
  return { type: 'OperationRunReconciled', data: { occurredAt: evidence.reconciledAt, outcome, evidence } };
}

type MeasuredEvidence = Omit<StaleEvidence, 'reconciledBy' | 'reasonCode' | 'reason'>;

function staleEvidence(facts: RunFacts, reconciledAt: Instant, judge: Judge): MeasuredEvidence {
  const { staleAt, staleKind, thresholdSeconds, policyVersion } = judge(facts);
  return {
    // A source may declare a run lost before our own threshold: then nobody saw it stale any earlier.
    firstStaleAt: staleAt !== null && isLater(reconciledAt, staleAt) ? staleAt : reconciledAt,
    staleKind: staleKind ?? (facts.status === 'queued' ? 'stale_queued' : 'stale_running'),
    thresholdSeconds: thresholdSeconds ?? 0,
    lastHeartbeatAt: facts.lastHeartbeatAt,
    priorStatus: facts.status === 'queued' ? 'queued' : 'running',
    reconciledAt,
    policyVersion,
  };
}

/** True also of a run that still beat but did not get on: it says what was heard last, not that nothing was. */
function staleReason({
  staleKind,
  thresholdSeconds,
  firstStaleAt,
  lastHeartbeatAt,
}: MeasuredEvidence): string {
  const stale = `stale since ${firstStaleAt} by a limit of ${thresholdSeconds} s`;
  if (staleKind === 'stale_queued') return `never started; ${stale}`;
  return lastHeartbeatAt === null
    ? `no heartbeat at all; ${stale}`
    : `last heartbeat at ${lastHeartbeatAt}; ${stale}`;
}
