import { z } from 'zod';
import type { Principal } from '../auth/principal';
import { LARGEST_INT } from '../db/largest-int';
import { nearestAcceptedInstant } from '../events/instant';
import type { Clock, Instant } from '../events/instant';
import { parsePosition } from '../events/position';
import type { Position } from '../events/position';
import { describeInput } from './json-schema';
import { Problem } from './problem';
import { single, wholeNumber } from './query-values';

export const DEFAULT_LIMIT = 50;
export const MAX_LIMIT = 200;

const positionSchema = z.string().transform((text, context) => {
  const position = parsePosition(text);
  if (position) return position;
  context.addIssue('must be a position as an answer or a command gave it, such as 123.4');
  return z.NEVER;
});

const SOME_INSTANT = 'an ISO 8601 instant with a zone, such as 2026-01-31T12:00:00Z';

/** An instant to look from, however far. */
export const asOfSchema = z
  .string()
  .meta({ format: 'date-time' })
  .transform((text, context) => {
    const instant = nearestAcceptedInstant(text);
    if (instant !== null) return instant;
    context.addIssue(`must be ${SOME_INSTANT}`);
    return z.NEVER;
  });

const generation = single(wholeNumber(1, LARGEST_INT)).optional();

/** The query parameters that every read takes; a read's schema is `z.strictObject({ ...readParameters, ... })`. */
export const readParameters = {
  asOf: single(asOfSchema)
    .optional()
    .describe(
      `The instant at which classes are judged: ${SOME_INSTANT}. Before 1700 it is taken as the beginning of 1700, after 2199 ` +
        'as the end of 2199. Default: now. Links of the answer keep it.',
    ),
  minPosition: single(positionSchema)
    .optional()
    .describe(
      'The `position` that a command answered, or any newer one: answers once the read side has got there, waits ' +
        'for it up to 5 seconds, and then answers 503.',
    ),
  // Read on every plane, so that the others are told whose it is (403) and not that it is unknown.
  generation: describeInput(generation.clone(), z.never()),
  from: single(z.string().regex(/^[a-z][a-z0-9-]{0,63}$/, 'must be the name of a surface'))
    .optional()
    .describe('The surface whose link led here; echoed in `meta.filter`.'),
};

/** The same on the system plane, which alone may look beside the live generation. */
export const systemReadParameters = {
  ...readParameters,
  generation: generation.describe(
    'Read this generation instead of the live one, such as a historical one. Links of the answer keep it.',
  ),
};

/** What a list takes on top. */
export const pageParameters = {
  limit: single(wholeNumber(1, MAX_LIMIT))
    .default(DEFAULT_LIMIT)
    .describe(`Rows of a page at most. Default: ${DEFAULT_LIMIT}.`),
  cursor: single(z.string().max(2_000))
    .optional()
    .describe('The `page.nextCursor` of the page before. Only for the same list under the same filter.'),
};

export const readParametersSchema = z.strictObject(readParameters);
export const listParametersSchema = z.strictObject({ ...readParameters, ...pageParameters });
export const systemReadParametersSchema = z.strictObject(systemReadParameters);
export const systemListParametersSchema = z.strictObject({ ...systemReadParameters, ...pageParameters });
export type ReadParameters = z.infer<typeof readParametersSchema>;
export type PageParameters = Pick<z.infer<typeof listParametersSchema>, 'limit' | 'cursor'>;

/** When and where a read looks. Null: the live generation, wherever it is. */
export interface ReadRequest {
  readonly asOf: Instant;
  readonly minPosition: Position | null;
  readonly generation: number | null;
  readonly from: string | null;
}

/** Settles what the reader left open. Throws Problem when they ask for what their plane does not have. */
export function readRequest(query: ReadParameters, principal: Principal, clock: Clock): ReadRequest {
  if (query.generation !== undefined && principal.plane !== 'system')
    throw Problem.wrongPlane(principal.plane, ['system'], '?generation=');
  return {
    asOf: query.asOf ?? clock.now(),
    minPosition: query.minPosition ?? null,
    generation: query.generation ?? null,
    from: query.from ?? null,
  };
}
