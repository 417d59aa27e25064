import { z } from 'zod';
import { bucketSchema } from './envelope';
import type { Bucket } from './envelope';
import type { RunFilter } from './run-filter';

/** An exact count and the list behind it. */
export function bucket(value: number, href: string): Bucket {
  return { value, relation: 'eq', href };
}

/**
 * The buckets of every summary, each defined by the filter of its link and by nothing else: `summary-sql` counts by
 * these filters, and `bucketsOf` prints them.
 */
export const BUCKET_FILTERS = {
  total: {},
  queued: { status: ['queued'] },
  running: { status: ['running'] },
  succeeded: { outcome: ['succeeded'] },
  partially_succeeded: { outcome: ['partially_succeeded'] },
  failed: { outcome: ['failed'] },
  blocked: { outcome: ['blocked'] },
  cancelled: { outcome: ['cancelled'] },
  none: { problemClass: ['none'] },
  active_stale_attention: { problemClass: ['active_stale_attention'] },
  terminal_follow_up: { problemClass: ['terminal_follow_up'] },
  terminal_follow_up_open: { problemClass: ['terminal_follow_up'], resolution: ['open'] },
  reconciled_stale: { lineage: ['reconciled_stale'] },
} as const satisfies Record<string, RunFilter>;

export type BucketName = keyof typeof BUCKET_FILTERS;
export const BUCKET_NAMES = Object.keys(BUCKET_FILTERS) as BucketName[];

export type Counts = Readonly<Record<BucketName, number>>;

export const bucketsSchema = z
  .object(
    Object.fromEntries(BUCKET_NAMES.map((name) => [name, bucketSchema])) as Record<
      BucketName,
      typeof bucketSchema
    >,
  )
  .meta({ id: 'Buckets' });
export type Buckets = z.infer<typeof bucketsSchema>;

/** What the route of every summary says of itself. */
export const SUMMARY_DESCRIPTION =
  'Each count carries the link to the list of exactly the runs it counts. The links are read at this `asOf` ' +
  "where the request named one, else at the reader's present.";

/** The least a summary says. */
export const summarySchema = z.object({ buckets: bucketsSchema });

/** `hrefOf` knows the place that is counted (a tenant, a workspace, the platform) and adds the bucket's filter to it. */
export function bucketsOf(counts: Counts, hrefOf: (filter: RunFilter) => string): Buckets {
  return recordOf((name) => bucket(counts[name], hrefOf(BUCKET_FILTERS[name])));
}

/** What several places have together. */
export function sumOf(places: readonly Counts[]): Counts {
  return recordOf((name) => places.reduce((sum, counts) => sum + counts[name], 0));
}

function recordOf<T>(valueOf: (name: BucketName) => T): Record<BucketName, T> {
  // BUCKET_NAMES is every key there is.
  return Object.fromEntries(BUCKET_NAMES.map((name) => [name, valueOf(name)])) as Record<BucketName, T>;
}
