import { isDeepStrictEqual } from 'node:util';
import type { ClassTimeline, Judge } from '../domain/classification';
import type { RunFacts } from '../domain/run-facts';
import { classifierV1 } from './classifier-v1';
import { classifierV2 } from './classifier-v2';
import { ruleFor } from './policy';
import type { Policy, VersionedPolicy } from './policy';

/** A run's class over all time under a policy. Pure and without a clock: equal facts give equal timelines for ever. */
export type Classifier = (facts: RunFacts, policy: VersionedPolicy) => ClassTimeline;

/** Every version of the classifier this binary can run, so that an old generation goes on under the code it was built with. */
export const classifiers: ReadonlyMap<number, Classifier> = new Map<number, Classifier>([
  [1, classifierV1],
  [2, classifierV2],
]);

/**
 * The version that a new database starts with, and the newest that means the same to everybody. Version 2 is an
 * operator's choice, made by a replay that tells beforehand what it changes: see docs/adr/0012.
 */
export const LATEST_CLASSIFIER = 1;

/** Versions that judge an ended run as version 1 does: by its outcome, its reason code and the `retryable` of its type alone. */
const ENDED_AS_BY_1: ReadonlySet<number> = new Set([1, 2]);

export interface Rules {
  readonly classifierVersion: number;
  readonly policy: Policy;
}

/** Whether no ended run can be judged differently by the two, so that only active ones need to be looked at. */
export function judgeEndedAlike(one: Rules, other: Rules): boolean {
  if (![one, other].every(({ classifierVersion }) => ENDED_AS_BY_1.has(classifierVersion))) return false;
  const [a, b] = [one.policy, other.policy];
  const types = [...Object.keys(a.types), ...Object.keys(b.types)];
  return (
    isDeepStrictEqual(a.outcomeClasses, b.outcomeClasses) &&
    isDeepStrictEqual(a.reasonCodes, b.reasonCodes) &&
    a.defaults.retryable === b.defaults.retryable &&
    types.every((type) => ruleFor(a, type).retryable === ruleFor(b, type).retryable)
  );
}

/** A classifier version bound to a policy, as the decider asks for it. Throws when this binary lacks the version. */
export function judgeWith(classifierVersion: number, policy: VersionedPolicy): Judge {
  const classify = classifiers.get(classifierVersion);
  if (!classify) {
    const known = [...classifiers.keys()].join(', ');
    throw new Error(
      `this binary has no classifier version ${classifierVersion}, only ${known}: run a newer one`,
    );
  }
  return (facts) => classify(facts, policy);
}
