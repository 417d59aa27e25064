import type { ClassTimeline, Freshness, ProblemClass, Verdict } from '../domain/classification';
import type { RunFacts } from '../domain/run-facts';
import type { Instant } from '../events/instant';
import { isLater } from '../events/instant';

/** A run as the projector hands it to every surface: what the log says of it, and what that means at any instant. */
export interface ClassifiedRun {
  readonly facts: RunFacts;
  readonly timeline: ClassTimeline;
  /** A later event of the run is parked, so that these facts are behind the log. */
  readonly incomplete: boolean;
  /** The log position of the last event in these facts, as text. */
  readonly position: string;
}

/** The part of a timeline that a verdict needs. */
export type VerdictTimeline = Pick<ClassTimeline, 'before' | 'staleAt' | 'after'>;

/**
 * The verdict on a run at `asOf`. The threshold's own instant still belongs to `before`. Of an incomplete run the class
 * stands (an attention list must not lose it), but nobody can say how fresh it is.
 */
export function verdictAt(timeline: VerdictTimeline, asOf: Instant, incomplete = false): Verdict {
  const { before, staleAt, after } = timeline;
  const verdict = staleAt !== null && isLater(asOf, staleAt) ? after : before;
  return incomplete ? { problemClass: verdict.problemClass, freshness: 'unknown' } : verdict;
}

/** What a row keeps of a timeline. The verdict after `staleAt` is not kept: `rowTimeline` knows that it is always the same. */
export interface RowTimeline {
  /** Both as they are up to and including `staleAt`. */
  readonly problemClass: ProblemClass;
  readonly freshness: Freshness;
  readonly staleAt: Instant | null;
}

/** What every active run becomes once its deadline has passed. */
export const STALE: Verdict = { problemClass: 'active_stale_attention', freshness: 'likely_stale' };

/**
 * A run's timeline as rows keep it. Throws when the timeline is none that a row can hold: a run may only go from `none`
 * to `active_stale_attention`, and only by its deadline. Every query on `stale_at` is right because of this.
 */
export function rowTimeline({ facts, timeline }: Pick<ClassifiedRun, 'facts' | 'timeline'>): RowTimeline {
  const { before, staleAt, after } = timeline;
  const holds =
    staleAt === null
      ? before.problemClass !== 'active_stale_attention' && sameVerdict(before, after)
      : before.problemClass === 'none' && sameVerdict(after, STALE);
  if (!holds)
    throw new Error(
      `run ${facts.runId} at version ${facts.version}: its classifier says ${words(before)}, then from ` +
        `${staleAt ?? 'no instant'} on ${words(after)}, which no row can hold: mend the classifier`,
    );
  return { problemClass: before.problemClass, freshness: before.freshness, staleAt };
}

/** The verdict at `asOf` on a run of which only its row is left. */
export function rowVerdictAt(row: RowTimeline & { readonly incomplete: boolean }, asOf: Instant): Verdict {
  const { problemClass, freshness, staleAt, incomplete } = row;
  return verdictAt({ before: { problemClass, freshness }, staleAt, after: STALE }, asOf, incomplete);
}

function sameVerdict(a: Verdict, b: Verdict): boolean {
  return a.problemClass === b.problemClass && a.freshness === b.freshness;
}

function words({ problemClass, freshness }: Verdict): string {
  return `${problemClass}/${freshness}`;
}
