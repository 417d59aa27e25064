import type { ProblemClass } from '../domain/classification';
import type { Outcome } from '../events/operation-run-events';
import { guidanceOf } from './presenter-guidance';
import { whyOf } from './presenter-why';
import type { Subject } from './subject';

/** From harmless to grave. */
export const SEVERITIES = ['ok', 'info', 'warning', 'critical'] as const;
export type Severity = (typeof SEVERITIES)[number];

/** Negative when `a` is the milder, as for `Array.sort`. */
export function compareSeverity(a: Severity, b: Severity): number {
  return SEVERITIES.indexOf(a) - SEVERITIES.indexOf(b);
}

/** What every surface and notification says of a run: never a relative time, because the words feed ETags. */
export interface Words {
  /** What it is, in two or three words. */
  readonly label: string;
  /** The cause, with the limit and the last sign of life. */
  readonly why: string;
  readonly severity: Severity;
  /** What happens next by itself, and what a person can do. */
  readonly guidance: string;
}

/** The words for a run. The same on every surface, and at every instant between two verdicts. */
export function present(subject: Subject): Words {
  return {
    label: labelOf(subject),
    why: whyOf(subject),
    severity: severityOf(subject),
    guidance: guidanceOf(subject),
  };
}

/** The words for all runs of a class together: an item of a needs-attention list, never milder than a run in it. */
export function presentClass(problemClass: ProblemClass): Words {
  switch (problemClass) {
    case 'none':
      return {
        label: 'No problem',
        why: 'Within the limits of their type, or ended in a way that needs nobody.',
        severity: 'info',
        guidance: 'Nothing to do.',
      };
    case 'active_stale_attention':
      return {
        label: 'Stuck',
        why: 'Queued or running, but without news or progress for longer than the limit of their type.',
        severity: 'warning',
        guidance:
          'Check that their workers are alive. Where policy says so they are failed automatically; an operator can cancel them or mark them failed sooner.',
      };
    case 'terminal_follow_up':
      return {
        label: 'Needs follow-up',
        why: 'Ended in a way that somebody should look at, such as failed, blocked or partly succeeded.',
        severity: 'critical',
        guidance: 'See why each one ended so, then retry it or mark it investigated.',
      };
  }
}

/** Of class, outcome and nothing else: acknowledging a failure makes it no less grave, nor does the screen it is read on. */
function severityOf({ problemClass, outcome }: Subject): Severity {
  switch (problemClass) {
    case 'none':
      return outcome === 'succeeded' ? 'ok' : 'info';
    case 'active_stale_attention':
      return 'warning';
    case 'terminal_follow_up':
      return outcome === 'failed' ? 'critical' : 'warning';
  }
}

const OUTCOME_LABELS: Record<Outcome, string> = {
  pending: 'Completed',
  succeeded: 'Succeeded',
  partially_succeeded: 'Partly succeeded',
  failed: 'Failed',
  blocked: 'Blocked',
  cancelled: 'Cancelled',
};

function labelOf({ status, outcome, problemClass, stalledSince, evidence }: Subject): string {
  switch (status) {
    case 'queued':
      return problemClass === 'active_stale_attention' ? 'Never started' : 'Queued';
    case 'running':
      if (problemClass !== 'active_stale_attention') return 'Running';
      return stalledSince === undefined ? 'Stuck: no heartbeat' : 'Stuck: no progress';
    case 'completed':
      if (evidence === null) return OUTCOME_LABELS[outcome];
      if (evidence.reasonCode === 'marked_failed') return 'Marked failed by an operator';
      return outcome === 'failed'
        ? 'Failed by reconciliation'
        : `Reconciled as ${OUTCOME_LABELS[outcome].toLowerCase()}`;
  }
}
