import type { ClassTimeline } from '../domain/classification';
import type { RunFacts } from '../domain/run-facts';
import type { Instant } from '../events/instant';
import { instantOf, micros } from '../events/instant';

/**
 * When the run was last heard from, in microseconds: the latest of its queueing, its start and its last heartbeat. A run that
 * waited long must not start out stuck, nor one whose worker's clock is behind that of whoever queued it.
 */
export function lastSignOfLife({ lastHeartbeatAt, startedAt, queuedAt }: RunFacts): number {
  return Math.max(micros(queuedAt), micros(startedAt ?? queuedAt), micros(lastHeartbeatAt ?? queuedAt));
}

/**
 * Since when a running run has stood still, in microseconds: its counts last moved then, or it began after that. Null of
 * a run that has never moved a count: many types tell none, and of those only silence can be judged.
 */
export function countsStoodSince({ status, progressMovedAt, startedAt, queuedAt }: RunFacts): number | null {
  if (status !== 'running' || progressMovedAt === null) return null;
  return Math.max(micros(progressMovedAt), micros(startedAt ?? queuedAt), micros(queuedAt));
}

/**
 * The instant from which the deadline counts, where that is a standstill of the counts that a later sign of life did not
 * end; null where it is silence. Told from facts and deadline alone, so that whoever has both says the same words.
 */
export function stalledSince(
  facts: RunFacts,
  { staleAt, thresholdSeconds }: Pick<ClassTimeline, 'staleAt' | 'thresholdSeconds'>,
): Instant | null {
  const since = countsStoodSince(facts);
  if (since === null || staleAt === null || thresholdSeconds === null) return null;
  return since < lastSignOfLife(facts) && secondsAfter(since, thresholdSeconds) === staleAt
    ? instantOf(since)
    : null;
}

export function secondsAfter(epochMicros: number, seconds: number): Instant {
  return instantOf(epochMicros + Math.round(seconds * 1_000_000));
}
