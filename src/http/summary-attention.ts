import { z } from 'zod';
import { presentClass, SEVERITIES } from '../classifier/presenter';
import { PROBLEM_CLASSES } from '../domain/classification';
import { bucketSchema } from './envelope';
import type { RunFilter } from './run-filter';
import { bucket } from './summary';
import type { Counts } from './summary';

/** A problem class that some run is in: the words for all of them, and the list of exactly these. */
const attentionItemSchema = bucketSchema
  .extend({
    problemClass: z.enum(PROBLEM_CLASSES),
    label: z.string(),
    why: z.string(),
    guidance: z.string(),
    severity: z.enum(SEVERITIES),
  })
  .meta({ id: 'AttentionItem' });
export const attentionSchema = z.object({ items: z.array(attentionItemSchema) });
export type Attention = z.infer<typeof attentionSchema>;

/** What every route that answers them says of itself. */
export const ATTENTION_DESCRIPTION =
  'One item for each problem class that some run is in: its words, its count, and the link to exactly these ' +
  'runs. Empty when no run needs anybody.';

/** One item per class that needs somebody: a link never mixes two, so that its story stays true where it leads. */
export function attentionOf(counts: Counts, hrefOf: (filter: RunFilter) => string): Attention {
  const classes = PROBLEM_CLASSES.filter((one) => one !== 'none' && counts[one] > 0);
  const items = classes.map((problemClass) => ({
    problemClass,
    ...presentClass(problemClass),
    ...bucket(counts[problemClass], hrefOf({ problemClass: [problemClass] })),
  }));
  return { items };
}
