import type { ClassTimeline } from '../domain/classification';
import type { RunFacts } from '../domain/run-facts';
import { isLater } from '../events/instant';
import { countsStoodSince, secondsAfter } from './classifier-instants';
import { STALE } from './classified-run';
import { classifierV1, FRESH } from './classifier-v1';
import { ruleFor, stallLimitSeconds } from './policy';
import type { VersionedPolicy } from './policy';

/**
 * Version 2. As version 1, and a running run that beats without getting on needs attention too: once
 * `stalledAfterHeartbeats` heartbeat intervals have passed since its counts last moved, unless its silence is due before.
 * A policy without that field, and a run that never moved a count, mean what they mean to version 1.
 *
 * `reconcileDueAt` stays that of silence. A worker that beats is alive and may hold what it works on, so a stalled run
 * is left to people until it goes silent as well; that deadline is never before this one has been visible for a beat.
 */
export function classifierV2(facts: RunFacts, versioned: VersionedPolicy): ClassTimeline {
  const silent = classifierV1(facts, versioned);
  const limitSeconds = stallLimitSeconds(ruleFor(versioned.policy, facts.type));
  const stoodSince = countsStoodSince(facts);
  if (limitSeconds === null || stoodSince === null) return silent;
  const staleAt = secondsAfter(stoodSince, limitSeconds);
  if (silent.staleAt !== null && !isLater(silent.staleAt, staleAt)) return silent;
  return {
    ...silent,
    before: FRESH,
    staleAt,
    after: STALE,
    staleKind: 'stale_running',
    thresholdSeconds: limitSeconds,
  };
}
