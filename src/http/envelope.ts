import { z } from 'zod';

/** Which truth an answer is: of which moment, up to which event, by which generation's rules, under which filter. */
export const metaSchema = z
  .object({
    asOf: z.string(),
    position: z.string(),
    generation: z.int(),
    classifierVersion: z.int(),
    policyVersion: z.int(),
    /** The normalised filter, `from` among it: the page can tell its reader which story brought them. */
    filter: z.record(
      z.string(),
      z.union([z.string(), z.number(), z.boolean(), z.array(z.string()), z.null()]),
    ),
  })
  .meta({ id: 'Meta' });
export type Meta = z.infer<typeof metaSchema>;

/** A number that is a door: the list behind `href` has exactly `value` rows at the same `asOf` and position. */
export const bucketSchema = z
  .object({
    /** Null when it could not be counted, which is not zero. */
    value: z.int().min(0).nullable(),
    /** `gte`: at least this many; counting stopped at a bound. */
    relation: z.enum(['eq', 'gte']),
    href: z.string(),
  })
  .meta({ id: 'Bucket' });
export type Bucket = z.infer<typeof bucketSchema>;

export const pageSchema = z
  .object({
    /** Null on the last page. */
    nextCursor: z.string().nullable(),
    limit: z.int(),
  })
  .meta({ id: 'Page' });
export type Page = z.infer<typeof pageSchema>;

export interface Envelope<T> {
  readonly meta: Meta;
  readonly data: T;
}

export interface PagedEnvelope<T> extends Envelope<T> {
  readonly page: Page;
}

/** The schema of an answer that carries `data`. */
export function envelopeOf<T extends z.ZodType>(data: T) {
  return z.object({ meta: metaSchema, data });
}
