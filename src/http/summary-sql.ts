import type { RawBuilder } from 'kysely';
import { sql } from 'kysely';
import type { RunFilter } from './run-filter';
import { matchesCell } from './run-filter-sql';
import { BUCKET_FILTERS, BUCKET_NAMES } from './summary';
import type { Counts } from './summary';

/**
 * The number of runs in the counted cells that `filter` matches, by their stored class. Runs past their deadline are
 * still among `none` here: `countsAt` moves them.
 */
export function cellsMatching(filter: RunFilter): RawBuilder<number> {
  return sql<number>`coalesce(sum(n) filter (where ${matchesCell(filter)}), 0)`;
}

/** Every bucket of a summary, as the selections of one query over counted cells. */
export function bucketSums() {
  return BUCKET_NAMES.map((name) => cellsMatching(BUCKET_FILTERS[name]).as(name));
}

export function countRows() {
  return sql<number>`count(*)`.as('n');
}

/**
 * The counts at the instant at which `stale` of these runs are past their deadline. Time moves runs between two classes
 * and changes nothing else.
 */
export function countsAt(stored: Counts, stale: number): Counts {
  return {
    ...stored,
    none: stored.none - stale,
    active_stale_attention: stored.active_stale_attention + stale,
  };
}

/** The counts of each place in the order of `cells`. Places whose cells have all been emptied are left out. */
export function countsByPlace<Id extends string | null>(
  cells: readonly (Counts & { readonly place: Id })[],
  stale: readonly { readonly place: Id; readonly n: number }[],
): { readonly place: Id; readonly counts: Counts }[] {
  const staleIn = new Map(stale.map(({ place, n }) => [place, n]));
  return cells
    .filter(({ total }) => total > 0)
    .map(({ place, ...stored }) => ({ place, counts: countsAt(stored, staleIn.get(place) ?? 0) }));
}
