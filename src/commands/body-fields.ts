import { z } from 'zod';
import { maskSecrets, sanitiseFailures } from '../domain/failure-summary';
import type { RunCommand } from '../domain/decider';
import type { Instant } from '../events/instant';
import { addSeconds, isLater } from '../events/instant';
import { idSchema, instantSchema, summaryCountsSchema } from '../events/operation-run-events';
import { UNSTORABLE_WORDS, isStorableJson } from '../events/storable-json';
import { describeInput } from '../http/json-schema';
import { isNestedDeeperThan } from '../http/nesting';
import { Problem } from '../http/problem';

const MAX_TEXT = 2_000;
const MAX_CONTEXT_BYTES = 16 * 1024;
const MAX_CONTEXT_DEPTH = 32;
/** How far the clock of a worker may be ahead of ours. */
const MAX_AHEAD_SECONDS = 300;
const EARLIEST: Instant = '1970-01-01T00:00:00.000Z';

type Context = Extract<RunCommand, { kind: 'queue' }>['context'];

const unstorable = `must not contain ${UNSTORABLE_WORDS}`;

function isStorable(value: unknown): boolean {
  return isStorableJson(JSON.stringify(value));
}

export const id = idSchema;
export const runIdParams = z.strictObject({ runId: id });
export type RunIdParams = z.infer<typeof runIdParams>;
export const occurredAt = instantSchema.nullish();
export const summaryCounts = summaryCountsSchema.refine(isStorable, unstorable).nullish();
export const reasonCode = id.max(100).nullish();

/**
 * Words of a person or a worker. Control characters other than line breaks and tabs go, and what looks like a credential;
 * nothing but blanks is nothing.
 */
export const text = z
  .string()
  .max(MAX_TEXT)
  .refine(isStorable, unstorable)
  // oxlint-disable-next-line no-control-regex
  .transform((words) => maskSecrets(words.replace(/[\u0000-\u0008\u000b-\u001f\u007f]/g, '')).trim() || null)
  .nullish();

/** Never refused for its length: what a worker has to say about its failure is worth keeping in part. */
export const failureSummary = z
  .array(
    z.strictObject({
      code: z.string(),
      message: z.string().default(''),
      count: z.int().min(1).default(1),
    }),
  )
  .transform(sanitiseFailures)
  .nullish();

export const context = describeInput(
  z.unknown().transform((value, issues): Context => {
    const fault = faultOfContext(value);
    if (fault !== null) issues.addIssue(fault);
    // An object that came out of a JSON parser holds nothing but JSON.
    return value as Context;
  }),
  z.record(z.string(), z.unknown()).meta({ description: 'Any JSON object of at most 16 KiB.' }),
).optional();

function faultOfContext(value: unknown): string | null {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'must be a JSON object';
  // Before anything that recurses: nobody has looked at the lines of an import yet.
  if (isNestedDeeperThan(value, MAX_CONTEXT_DEPTH))
    return `must not be nested deeper than ${MAX_CONTEXT_DEPTH} levels`;
  const bytes = Buffer.byteLength(JSON.stringify(value));
  if (bytes > MAX_CONTEXT_BYTES) return `must be at most ${MAX_CONTEXT_BYTES} bytes as JSON, is ${bytes}`;
  if (holdsInfinity(value)) return 'must not contain numbers beyond 1.8e308, which JSON cannot keep';
  return isStorable(value) ? null : unstorable;
}

/** As `1e999` is read. */
function holdsInfinity(value: unknown): boolean {
  if (typeof value === 'number') return !Number.isFinite(value);
  return typeof value === 'object' && value !== null && Object.values(value).some(holdsInfinity);
}

/** When a command happened: as its source says, else now. Throws Problem for an instant that no sane clock shows. */
export function sourceTime(given: Instant | null | undefined, now: Instant): Instant {
  if (given == null) return now;
  const refuse = (message: string) => Problem.invalidRequest([{ path: 'occurredAt', message }]);
  if (isLater(given, addSeconds(now, MAX_AHEAD_SECONDS)))
    throw refuse(`is more than 5 minutes in the future: it is ${now} here`);
  if (isLater(EARLIEST, given)) throw refuse('is before 1970');
  return given;
}
