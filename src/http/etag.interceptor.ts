import { createHash } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import type { CallHandler, ExecutionContext, NestInterceptor } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { map } from 'rxjs';
import type { Observable } from 'rxjs';

/**
 * ETag and 304 for every GET whose answer is JSON. The tag is over the answer itself, not over when it was last
 * written: a run becomes stale without a write, and a tag over `updated_at` would hide it from whoever polls.
 */
@Injectable()
export class EtagInterceptor implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler<unknown>): Observable<unknown> {
    const http = context.switchToHttp();
    const request = http.getRequest<FastifyRequest>();
    const reply = http.getResponse<FastifyReply>();
    if (request.method !== 'GET' && request.method !== 'HEAD') return next.handle();
    return next.handle().pipe(map((body) => answer(body, request, reply)));
  }
}

function answer(body: unknown, request: FastifyRequest, reply: FastifyReply): unknown {
  // A route with a caching rule of its own (health, metrics) has said what it wants.
  if (reply.statusCode !== 200 || !isPlain(body) || reply.hasHeader('cache-control')) return body;
  const etag = etagOf(body);
  void reply.headers({ etag, 'cache-control': 'private, no-cache', vary: 'Authorization' });
  if (!matches(request.headers['if-none-match'], etag)) return body;
  void reply.code(304);
  return undefined;
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
