import { createHash } from 'node:crypto';
import { z } from 'zod';
import { idSchema, instantSchema } from '../events/operation-run-events';
import { Problem } from './problem';

/** Where a page ended, in the list's total order. */
export interface Keyset {
  readonly sortAt: string;
  readonly runId: string;
}

/** A normalised filter: what decides which rows a list has, and in which order. */
export type CursorFilter = Readonly<Record<string, unknown>>;

const cursorSchema = z.tuple([z.string(), instantSchema, idSchema]);

/** Where and when a reader looks, not what the list is: a cursor outlives a change of these. */
const OUTSIDE = new Set(['asOf', 'cursor', 'limit', 'minPosition', 'from']);

/** An opaque cursor behind `keyset`, bound to the list's name and its normalised filter (sort direction included). */
export function encodeCursor(keyset: Keyset, list: string, filter: CursorFilter): string {
  const text = JSON.stringify([digestOf(list, filter), keyset.sortAt, keyset.runId]);
  return Buffer.from(text, 'utf8').toString('base64url');
}

/**
 * The place a cursor stands for. Throws Problem `invalid_cursor` on anything that `encodeCursor` has not made, and
 * `cursor_of_another_filter` on one that belongs elsewhere: going on from it would skip or repeat rows.
 */
export function decodeCursor(cursor: string, list: string, filter: CursorFilter): Keyset {
  const parsed = cursorSchema.safeParse(jsonIn(cursor));
  if (!parsed.success)
    throw new Problem('invalid_cursor', { detail: 'take `cursor` from `page.nextCursor` as it is' });
  const [digest, sortAt, runId] = parsed.data;
  if (digest !== digestOf(list, filter))
    throw new Problem('cursor_of_another_filter', {
      detail: 'start again without `cursor` after changing the filter',
    });
  return { sortAt, runId };
}

function jsonIn(cursor: string): unknown {
  if (!/^[A-Za-z0-9_-]+$/.test(cursor)) return undefined;
  try {
    return JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
  } catch {
    return undefined;
  }
}

function digestOf(list: string, filter: CursorFilter): string {
  const members = Object.entries(filter)
    .filter(([name, value]) => !OUTSIDE.has(name) && !isAbsent(value))
    .map(([name, value]): [string, unknown] => [
      name,
      Array.isArray(value) ? value.map(String).sort() : value,
    ])
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash('sha256')
    .update(JSON.stringify([list, members]))
    .digest('base64url')
    .slice(0, 16);
}

function isAbsent(value: unknown): boolean {
  return value === undefined || value === null || (Array.isArray(value) && value.length === 0);
}
