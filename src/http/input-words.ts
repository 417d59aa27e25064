import type { z } from 'zod';
import { counted } from '../tools/counted';

const TYPES: Readonly<Record<string, string>> = {
  string: 'a string',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'an array',
  object: 'an object',
  record: 'an object',
};

/**
 * What is wrong with an input, where its schema has no words of its own: how it must be, in the terms of JSON and of all
 * other refusals. For the `error` of a parse.
 */
export const inputWords: z.core.$ZodErrorMap = (issue) => {
  switch (issue.code) {
    case 'invalid_type':
      return issue.input === undefined ? 'is missing' : `must be ${TYPES[issue.expected] ?? issue.expected}`;
    case 'invalid_value':
      return `must be one of ${issue.values.map(String).join(', ')}`;
    case 'too_small':
      if (issue.minimum === 1 && isCounted(issue.origin)) return 'must not be empty';
      return boundWords(issue.origin, issue.inclusive ? 'at least' : 'more than', Number(issue.minimum));
    case 'too_big':
      return boundWords(issue.origin, issue.inclusive ? 'at most' : 'less than', Number(issue.maximum));
    case 'invalid_format':
    case 'not_multiple_of':
    case 'unrecognized_keys':
    case 'invalid_union':
    case 'invalid_key':
    case 'invalid_element':
    case 'custom':
      return undefined;
  }
};

function isCounted(origin: string): boolean {
  return origin === 'string' || origin === 'array';
}

function boundWords(origin: string, relation: string, bound: number): string {
  if (!isCounted(origin)) return `must be ${relation} ${bound}`;
  const size = origin === 'string' ? counted(bound, 'character') : counted(bound, 'entry', 'entries');
  return `must have ${relation} ${size}`;
}
