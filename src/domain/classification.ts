import type { Instant } from '../events/instant';
import type { StaleKind } from '../events/operation-run-events';
import type { RunFacts } from './run-facts';

export const PROBLEM_CLASSES = ['none', 'active_stale_attention', 'terminal_follow_up'] as const;
export const FRESHNESSES = [
  'fresh_active',
  'likely_stale',
  'reconciled_failed',
  'terminal_normal',
  'unknown',
] as const;

export type ProblemClass = (typeof PROBLEM_CLASSES)[number];
export type Freshness = (typeof FRESHNESSES)[number];

export interface Verdict {
  readonly problemClass: ProblemClass;
  readonly freshness: Freshness;
}

/**
 * A run's class over all time, as far as its facts tell: `before` holds up to and including `staleAt`, `after`
 * strictly later. A run that cannot go stale (completed, or exempt by policy) has `staleAt` null and two equal verdicts.
 */
export interface ClassTimeline {
  readonly before: Verdict;
  readonly staleAt: Instant | null;
  readonly after: Verdict;
  readonly staleKind: StaleKind | null;
  /** The limit that `staleAt` comes from, in seconds after the baseline. */
  readonly thresholdSeconds: number | null;
  /** From this instant on (strictly later) the reconciler may fail the run; null when policy leaves it alone. */
  readonly reconcileDueAt: Instant | null;
  /** Whether policy lets an operator retry a run of this type. */
  readonly retryable: boolean;
  readonly policyVersion: number;
}

/** How the decider asks for a verdict on the facts it has just folded, without knowing any policy. */
export type Judge = (facts: RunFacts) => ClassTimeline;
