import type { FastifyInstance } from 'fastify';
import { Problem } from './problem';

/**
 * How deep a body may be nested. Far deeper than any field may be, so that of a batch one command that went wrong is
 * refused alone; far less than what JSON.stringify, which recurses, has the stack for (some thousands of levels).
 */
const MAX_BODY_LEVELS = 500;

/** Refuses with 400 what whoever digests, logs or keeps a body would fail on. Depth costs a caller two bytes a level. */
export function refuseDeepBodies(fastify: FastifyInstance): void {
  fastify.addHook('preValidation', (request, _reply, done) => {
    if (!isNestedDeeperThan(request.body, MAX_BODY_LEVELS)) return done();
    const message = `the body must not be nested deeper than ${MAX_BODY_LEVELS} levels`;
    done(Problem.invalidRequest([{ path: '', message }]));
  });
}

/** Level by level, for recursion would meet the very end that this is to prevent. */
export function isNestedDeeperThan(value: unknown, limit: number): boolean {
  let level = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > limit) return true;
    const next: unknown[] = [];
    for (const one of level)
      if (typeof one === 'object' && one !== null) for (const inner of Object.values(one)) next.push(inner);
    level = next;
  }
  return false;
}
