import { createHash } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

/**
 * ETag and 304 for every GET whose answer is JSON. The tag is over the answer itself, not over when it was last
 * written: a run becomes stale without a write, and a tag over `updated_at` would hide it from whoever polls.
 */
export function tagAnswers(fastify: FastifyInstance): void {
  fastify.addHook('onSend', (request, reply, body, done) => {
    // What was serialized once is not serialized again for its tag.
    if (typeof body !== 'string' || !isToBeTagged(request, reply)) return done(null, body);
    const etag = etagOf(body);
    void reply.headers({ etag, 'cache-control': 'private, no-cache', vary: 'Authorization' });
    if (!matches(request.headers['if-none-match'], etag)) return done(null, body);
    void reply.code(304).removeHeader('content-type');
    done(null, null);
  });
}

function isToBeTagged({ method }: FastifyRequest, reply: FastifyReply): boolean {
  if (method !== 'GET' && method !== 'HEAD') return false;
  // A route with a caching rule of its own (health, metrics) has said what it wants.
  if (reply.statusCode !== 200 || reply.hasHeader('cache-control')) return false;
  return String(reply.getHeader('content-type')).startsWith('application/json');
}

/** An envelope begins with the instant of its reading, which changes each time though nothing else need. */
const READ_AT = /^\{"meta":\{"asOf":"[^"]*"/;

/** A strong tag of an answer's text but for `meta.asOf`. */
export function etagOf(text: string): string {
  return `"${createHash('sha256').update(text.replace(READ_AT, '')).digest('base64url').slice(0, 27)}"`;
}

/** RFC 9110, 13.1.2: weak comparison against a list, or `*`. */
function matches(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  if (header.trim() === '*') return true;
  return (header.match(/(?:W\/)?"[^"]*"/g) ?? []).some((tag) => tag.replace(/^W\//, '') === etag);
}
