import { createHash } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

/**
 * ETag and 304 for every GET whose answer is JSON. The tag is over the answer itself, not over when it was last
 * written: a run becomes stale without a write, and a tag over `updated_at` would hide it from whoever polls.
 */
export function tagAnswers(fastify: FastifyInstance): void {
  fastify.addHook('preSerialization', (request, reply, body, done) => {
    tagAnswer(body, request, reply);
    done(null, body);
  });
  fastify.addHook('onSend', (_request, reply, body, done) => {
    if (reply.statusCode !== 304) return done(null, body);
    void reply.removeHeader('content-type');
    done(null, null);
  });
}

function tagAnswer(body: unknown, request: FastifyRequest, reply: FastifyReply): void {
  if (request.method !== 'GET' && request.method !== 'HEAD') return;
  // A route with a caching rule of its own (health, metrics) has said what it wants.
  if (reply.statusCode !== 200 || !isPlain(body) || reply.hasHeader('cache-control')) return;
  const etag = etagOf(body);
  void reply.headers({ etag, 'cache-control': 'private, no-cache', vary: 'Authorization' });
  if (matches(request.headers['if-none-match'], etag)) void reply.code(304);
}

/** A strong tag of the answer without `meta.asOf`, which changes at every reading though nothing else need. */
export function etagOf(body: object): string {
  const lasting = 'meta' in body ? { ...body, meta: { ...(body.meta as object), asOf: undefined } } : body;
  return `"${createHash('sha256').update(JSON.stringify(lasting)).digest('base64url').slice(0, 27)}"`;
}

/** RFC 9110, 13.1.2: weak comparison against a list, or `*`. */
function matches(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  if (header.trim() === '*') return true;
  return (header.match(/(?:W\/)?"[^"]*"/g) ?? []).some((tag) => tag.replace(/^W\//, '') === etag);
}

function isPlain(body: unknown): body is object {
  if (typeof body !== 'object' || body === null) return false;
  return Array.isArray(body) || Object.getPrototypeOf(body) === Object.prototype;
}
