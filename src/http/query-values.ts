import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { inputWords } from './input-words';
import { describeInput } from './json-schema';

const given = z.union([z.string(), z.array(z.string())]);

/**
 * A query parameter with one value. Repeating it with the same value, however it is spelt, is tolerated, as links are put
 * together from parts; two values or an empty one are refused rather than guessed at.
 */
export function single<T extends z.ZodType<unknown, string>>(inner: T) {
  const schema = given
    .transform((value, context) => {
      const [first, ...others] = new Set([value].flat());
      if (first && others.every((other) => meanTheSame(inner, first, other))) return first;
      context.addIssue(first ? 'was given more than once with different values' : 'must not be empty');
      return z.NEVER;
    })
    .pipe(inner);
  return describeInput(schema, inner);
}

function meanTheSame(schema: z.ZodType, a: string, b: string): boolean {
  const [one, other] = [schema.safeParse(a), schema.safeParse(b)];
  return one.success && other.success && isDeepStrictEqual(one.data, other.data);
}

/** A repeatable query parameter: its distinct values, sorted, so that equal filters are equal texts. */
export function many<T extends z.ZodType<string, string>>(inner: T) {
  const list = z.array(inner);
  const schema = given.transform((value, context) => {
    const values = [...new Set([value].flat())].sort();
    if (values.includes('')) {
      context.addIssue('must not be empty');
      return z.NEVER;
    }
    const parsed = list.safeParse(values, { error: inputWords });
    if (parsed.success) return parsed.data;
    // Not piped into the list: its paths would count the values, in an order that is ours and not the caller's.
    for (const message of new Set(parsed.error.issues.map((issue) => issue.message)))
      context.addIssue(message);
    return z.NEVER;
  });
  return describeInput(schema, list);
}

/** A whole number written in digits, within bounds. */
export function wholeNumber(from: number, to: number) {
  const schema = z
    .string()
    .refine((text) => /^\d{1,15}$/.test(text) && Number(text) >= from && Number(text) <= to, {
      error: `must be a whole number from ${from} to ${to}`,
    })
    .transform(Number);
  return describeInput(schema, z.int().min(from).max(to));
}
