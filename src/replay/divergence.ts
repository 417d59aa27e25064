import { stalledSince } from '../classifier/classifier-instants';
import type { ClassTimeline } from '../domain/classification';
import type { RunFacts } from '../domain/run-facts';

interface Judged {
  readonly facts: RunFacts;
  readonly timeline: ClassTimeline;
}

/** The first thing in which two judgements of a run differ, in words: a fact, else a threshold, else a class. */
export function divergence(before: Judged, after: Judged): string {
  const fact = (Object.keys(before.facts) as (keyof RunFacts)[]).find(
    (name) => JSON.stringify(before.facts[name]) !== JSON.stringify(after.facts[name]),
  );
  if (fact !== undefined) return `${fact}: ${shown(before.facts[fact])} -> ${shown(after.facts[fact])}`;
  const [old, now] = [before.timeline, after.timeline];
  if (old.staleAt !== now.staleAt)
    return `goes stale at ${old.staleAt ?? 'no time'} -> ${now.staleAt ?? 'no time'}${limits(before, after)}`;
  if (old.before.problemClass !== now.before.problemClass) {
    const { outcome, reasonCode } = after.facts;
    const which =
      reasonCode === null ? `outcome ${outcome}` : `outcome ${outcome}, reason code ${reasonCode}`;
    return `${which} counts as ${now.before.problemClass} instead of ${old.before.problemClass}`;
  }
  return 'nothing in the facts or the judgement differs at present';
}

/** The limits that the deadlines come from, where they differ; and what they limit, where that does. */
function limits(before: Judged, after: Judged): string {
  const [old, now] = [before.timeline.thresholdSeconds, after.timeline.thresholdSeconds];
  const [oldOf, nowOf] = [limited(before), limited(after)];
  if (old !== null && now !== null && oldOf !== nowOf)
    return ` (limit ${seconds(old)} ${oldOf} -> ${seconds(now)} ${nowOf})`;
  return old === now ? '' : ` (limit ${seconds(old)} -> ${seconds(now)})`;
}

function limited({ facts, timeline }: Judged): string {
  return stalledSince(facts, timeline) === null ? 'of silence' : 'without new counts';
}

function seconds(threshold: number | null): string {
  return threshold === null ? 'none' : `${threshold} s`;
}

function shown(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}
