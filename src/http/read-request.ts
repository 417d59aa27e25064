import { z } from 'zod';
import type { Principal } from '../auth/principal';
import type { Clock, Instant } from '../events/instant';
import { instantSchema } from '../events/operation-run-events';
import { parsePosition } from '../events/position';
import type { Position } from '../events/position';
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

/** The query parameters that every read takes; a read's schema is `z.strictObject({ ...readParameters, ... })`. */
export const readParameters = {
  /** The instant the classes are judged at. Default: now. */
  asOf: single(instantSchema).optional(),
  /** Answer only once the read side has got this far. */
  minPosition: single(positionSchema).optional(),
  /** A historical generation instead of the live one; the system plane's only. */
  generation: single(wholeNumber(1, 2_147_483_647)).optional(),
  /** The surface whose link led here; echoed in `meta.filter`. */
  from: single(z.string().regex(/^[a-z][a-z0-9-]{0,63}$/, 'must be the name of a surface')).optional(),
};

/** What a list takes on top. */
export const pageParameters = {
  limit: single(wholeNumber(1, MAX_LIMIT)).default(DEFAULT_LIMIT),
  cursor: single(z.string().max(2_000)).optional(),
};

export const readParametersSchema = z.strictObject(readParameters);
export const listParametersSchema = z.strictObject({ ...readParameters, ...pageParameters });
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
    throw Problem.wrongPlane(principal.plane, ['system']);
  return {
    asOf: query.asOf ?? clock.now(),
    minPosition: query.minPosition ?? null,
    generation: query.generation ?? null,
    from: query.from ?? null,
  };
}
