import type { ClassTimeline, Verdict } from '../domain/classification';
import type { RunFacts } from '../domain/run-facts';
import { STALE } from './classified-run';
import { lastSignOfLife, secondsAfter } from './classifier-instants';
import { ruleFor } from './policy';
import type { Policy, PolicyRule, TerminalClass, VersionedPolicy } from './policy';

export const FRESH: Verdict = { problemClass: 'none', freshness: 'fresh_active' };
const ENDED: Record<TerminalClass, { byReport: Verdict; byReconciliation: Verdict }> = {
  none: {
    byReport: { problemClass: 'none', freshness: 'terminal_normal' },
    byReconciliation: { problemClass: 'none', freshness: 'reconciled_failed' },
  },
  terminal_follow_up: {
    byReport: { problemClass: 'terminal_follow_up', freshness: 'terminal_normal' },
    byReconciliation: { problemClass: 'terminal_follow_up', freshness: 'reconciled_failed' },
  },
};

/**
 * Version 1. An active run is fresh until its threshold has passed since its last sign of life (the latest of its queueing, its
 * start and its last heartbeat), and strictly later it needs attention. A completed run has one class, by reason code or outcome.
 *
 * `reconcileAfterSeconds` counts from that same sign of life, but reconciliation is never due before the run has been
 * visibly stale for one heartbeat interval: a run must show on the stuck page before it is failed, and a type that only
 * raises its stale threshold above the inherited `reconcileAfterSeconds` must stay a valid type.
 */
export function classifierV1(facts: RunFacts, { version, policy }: VersionedPolicy): ClassTimeline {
  const rule = ruleFor(policy, facts.type);
  if (facts.status === 'completed') {
    const { byReport, byReconciliation } = ENDED[terminalClass(facts, policy)];
    return unmoving(facts.evidence ? byReconciliation : byReport, rule, version);
  }
  const queued = facts.status === 'queued';
  const thresholdSeconds = queued ? rule.queuedStaleAfterSeconds : rule.runningStaleAfterSeconds;
  if (thresholdSeconds === null) return unmoving(FRESH, rule, version);
  const baseline = lastSignOfLife(facts);
  return {
    before: FRESH,
    staleAt: secondsAfter(baseline, thresholdSeconds),
    after: STALE,
    staleKind: queued ? 'stale_queued' : 'stale_running',
    thresholdSeconds,
    reconcileDueAt: isReconciled(facts, rule)
      ? secondsAfter(
          baseline,
          Math.max(rule.reconcileAfterSeconds, thresholdSeconds + rule.heartbeatEverySeconds),
        )
      : null,
    retryable: rule.retryable,
    policyVersion: version,
  };
}

function terminalClass(facts: RunFacts, policy: Policy): TerminalClass {
  const { outcome, reasonCode } = facts;
  // hasOwn, because reason codes are workers' words: one named `constructor` is not an override.
  if (reasonCode !== null && Object.hasOwn(policy.reasonCodes, reasonCode))
    return policy.reasonCodes[reasonCode]!;
  // Facts never pair `completed` with `pending`; were one to, a person should look at it.
  return outcome === 'pending' ? 'terminal_follow_up' : policy.outcomeClasses[outcome];
}

/** Nobody will ever report on an imported run again, so silence proves nothing: only a person may fail it. */
function isReconciled(facts: RunFacts, rule: PolicyRule): boolean {
  return rule.action === 'fail' && facts.origin === null;
}

function unmoving(verdict: Verdict, rule: PolicyRule, policyVersion: number): ClassTimeline {
  return {
    before: verdict,
    staleAt: null,
    after: verdict,
    staleKind: null,
    thresholdSeconds: null,
    reconcileDueAt: null,
    retryable: rule.retryable,
    policyVersion,
  };
}
