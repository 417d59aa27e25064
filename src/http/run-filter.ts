import { z } from 'zod';
import { PROBLEM_CLASSES } from '../domain/classification';
import { idSchema, OUTCOMES, STATUSES } from '../events/operation-run-events';
import { describeInput } from './json-schema';
import { many, single } from './query-values';
import { readParameters } from './read-request';

/** How a run came to its end: by report (or not at all yet), or by reconciliation after it had gone stale. */
export const LINEAGES = ['none', 'reconciled_stale'] as const;
export const RESOLUTIONS = ['open', 'investigated'] as const;

/**
 * The one schema of run filters: it reads a list's query, and `printFilter` writes every link with it, so that a count
 * and the list behind it cannot mean different things. Repeatable parameters are sorted and without duplicates.
 */
export const runFilterShape = {
  problemClass: many(z.enum(PROBLEM_CLASSES)).optional().describe('Class at `asOf`.'),
  workspace: many(idSchema).optional(),
  tenant: tenants().optional().describe('The empty text: runs that belong to no tenant.'),
  type: many(idSchema).optional(),
  status: many(z.enum(STATUSES)).optional(),
  outcome: many(z.enum(OUTCOMES)).optional(),
  lineage: many(z.enum(LINEAGES)).optional().describe('Whether the run was ended by reconciliation.'),
  resolution: many(z.enum(RESOLUTIONS)).optional(),
  active: single(z.enum(['true', 'false']).transform((text) => text === 'true'))
    .optional()
    .describe('Queued or running (true), or completed (false).'),
  from: readParameters.from,
} as const;

export const RUN_FILTER_FIELDS = Object.keys(runFilterShape) as RunFilterField[];
export type RunFilterField = keyof typeof runFilterShape;

export const runFilterSchema = z.strictObject(runFilterShape);

/** A parsed filter. Absent, undefined and empty members all mean: not filtered by. */
export type RunFilter = { readonly [F in RunFilterField]?: z.output<(typeof runFilterShape)[F]> | undefined };

/** The filter parameters that one list accepts; whatever is not among them is an unknown parameter there. */
export function filterFields<F extends RunFilterField>(
  ...fields: readonly F[]
): Pick<typeof runFilterShape, F> {
  // Every requested field is copied, so the result has exactly the keys of F.
  return Object.fromEntries(fields.map((field) => [field, runFilterShape[field]])) as Pick<
    typeof runFilterShape,
    F
  >;
}

/** The members of a parsed query that are filters, normalised: what `meta.filter` echoes and cursors are bound to. */
export function filterOf(query: Readonly<Record<string, unknown>>): RunFilter {
  const members = RUN_FILTER_FIELDS.flatMap((field) => {
    const value = query[field];
    return value === undefined || (Array.isArray(value) && value.length === 0) ? [] : [[field, value]];
  });
  // `query` was read by a schema made of runFilterShape, so each member has that field's type.
  return Object.fromEntries(members) as RunFilter;
}

/** The query string that reads back as this filter, without a question mark; '' for the empty filter. */
export function printFilter(filter: RunFilter): string {
  // A loop, because a platform's summary has some hundred links.
  let text = '';
  for (const field of RUN_FILTER_FIELDS) {
    const value = filter[field];
    if (Array.isArray(value)) for (const one of value) text += printed(text, field, one);
    else if (value !== undefined) text += printed(text, field, String(value));
  }
  return text;
}

function printed(before: string, field: string, value: string): string {
  return `${before === '' ? '' : '&'}${field}=${encodeURIComponent(value)}`;
}

/** What every link of an answer carries on, so that the list behind it is read at the same instant and generation. */
export interface LinkContext {
  /** The surface that the link leaves from. */
  readonly from: string;
  /** The request's own `asOf`, when it named one: else the list is read at the reader's present. */
  readonly asOf?: string | undefined;
  readonly generation?: number | undefined;
}

/** A link to the list at `base` (a path) that this filter describes. */
export function runsHref(base: string, filter: RunFilter, context: LinkContext): string {
  return withQuery(base, printFilter(filter), context);
}

/** A link to one run's page under `base`. */
export function runHref(base: string, runId: string, context: LinkContext): string {
  return withQuery(`${base}/${encodeURIComponent(runId)}`, '', context);
}

function withQuery(path: string, filter: string, { from, asOf, generation }: LinkContext): string {
  let query = filter + printed(filter, 'from', from);
  if (asOf !== undefined) query += printed(query, 'asOf', asOf);
  if (generation !== undefined) query += printed(query, 'generation', String(generation));
  return `${path}?${query}`;
}

/** As `many`, but the empty text has a meaning: no tenant has it for its id. */
function tenants() {
  const one = z.union([z.literal(''), idSchema]);
  const schema = z
    .union([z.string(), z.array(z.string())])
    .transform((given) => [...new Set([given].flat())].sort())
    .pipe(z.array(one));
  return describeInput(schema, z.array(one));
}
