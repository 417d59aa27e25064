import type { ClassTimeline } from '../domain/classification';
import type { RunFacts } from '../domain/run-facts';

/** The first thing in which two judgements of a run differ, in words: a fact, else a threshold, else a class. */
export function divergence(
  before: { readonly facts: RunFacts; readonly timeline: ClassTimeline },
  after: { readonly facts: RunFacts; readonly timeline: ClassTimeline },
): string {
  const fact = (Object.keys(before.facts) as (keyof RunFacts)[]).find(
    (name) => JSON.stringify(before.facts[name]) !== JSON.stringify(after.facts[name]),
  );
  if (fact !== undefined) return `${fact}: ${shown(before.facts[fact])} -> ${shown(after.facts[fact])}`;
  const [old, now] = [before.timeline, after.timeline];
  if (old.staleAt !== now.staleAt) {
    const limit =
      old.thresholdSeconds === now.thresholdSeconds
        ? ''
        : ` (limit ${seconds(old.thresholdSeconds)} -> ${seconds(now.thresholdSeconds)})`;
    return `goes stale at ${old.staleAt ?? 'no time'} -> ${now.staleAt ?? 'no time'}${limit}`;
  }
  if (old.before.problemClass !== now.before.problemClass) {
    const { outcome, reasonCode } = after.facts;
    const which =
      reasonCode === null ? `outcome ${outcome}` : `outcome ${outcome}, reason code ${reasonCode}`;
    return `${which} counts as ${now.before.problemClass} instead of ${old.before.problemClass}`;
  }
  return 'nothing in the facts or the judgement differs at present';
}

function seconds(threshold: number | null): string {
  return threshold === null ? 'none' : `${threshold} s`;
}

function shown(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}
