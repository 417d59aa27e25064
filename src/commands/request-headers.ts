import type { FastifyRequest } from 'fastify';
import { Problem } from '../http/problem';

const MAX_KEY_LENGTH = 200;

/** The request's Idempotency-Key, null without one. Throws Problem for one that is empty or too long. */
export function idempotencyKeyOf({ headers }: FastifyRequest): string | null {
  const key = headers['idempotency-key'];
  if (key === undefined) return null;
  if (typeof key === 'string' && key.length >= 1 && key.length <= MAX_KEY_LENGTH) return key;
  throw Problem.invalidRequest([
    { path: 'Idempotency-Key', message: `must have 1 to ${MAX_KEY_LENGTH} characters` },
  ]);
}

/** A version no run has: what a well-formed tag of another origin asks for. */
const NO_VERSION = -1;

/**
 * The version that If-Match asks for; undefined when it asks for none (absent, or `*`). A tag that a proxy has made
 * weak, and a version without its quotes, is taken as it was meant. Throws Problem for what is not one entity tag.
 */
export function expectedVersionOf({ headers }: FastifyRequest): number | undefined {
  const given = headers['if-match']?.trim();
  if (given === undefined || given === '*') return undefined;
  const tag = /^(?:W\/)?"([^"]*)"$/.exec(given)?.[1] ?? /^\d+$/.exec(given)?.[0];
  if (tag === undefined)
    throw Problem.invalidRequest([
      { path: 'If-Match', message: 'must be one version in quotes, such as "3", or *' },
    ]);
  return /^\d{1,9}$/.test(tag) ? Number(tag) : NO_VERSION;
}
