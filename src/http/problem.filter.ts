import type { IncomingMessage } from 'node:http';
import { Catch } from '@nestjs/common';
import type { ArgumentsHost, ExceptionFilter } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { isUnreachable } from '../db/database';
import { asProblem } from './as-problem';
import type { KnownRoutes } from './known-routes';
import { Problem, problemBody } from './problem';

/** The one way out for everything thrown: `application/problem+json`, and a log entry when it was our fault. */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  constructor(private readonly routes: KnownRoutes) {}

  catch(error: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    const request = http.getRequest<FastifyRequest>();
    const problem = request.is404 ? this.unrouted(request) : asProblem(error);
    sendProblem(problem, request, http.getResponse<FastifyReply>());
  }

  private unrouted(request: FastifyRequest): Problem {
    const path = request.url.split('?', 1)[0] ?? '';
    const allowed = this.routes.methodsOf(path);
    return allowed.length === 0
      ? new Problem('route_not_found', { detail: `no such path: ${path}` })
      : new Problem('method_not_allowed', {
          detail: `${path} takes ${allowed.join(', ')}`,
          headers: { allow: allowed.join(', ') },
        });
  }
}

export function sendProblem(problem: Problem, request: FastifyRequest, reply: FastifyReply): void {
  if (problem.code === 'internal') request.log.error({ err: problem.cause }, 'request failed');
  else if (problem.cause !== undefined && problem.status >= 500)
    request.log.warn({ code: problem.code, ...reasonOf(problem.cause) }, 'request refused');
  // A streamed answer that broke half-way cannot become a problem any more; Fastify ends its connection.
  if (reply.sent) return;
  const send = () => answer(problem, request, reply);
  if (problem.status === 413) afterBody(request.raw, send);
  else send();
}

/** Of what is known to happen, and then to every request, the reason is enough. */
function reasonOf(cause: unknown): object {
  return isUnreachable(cause) ? { reason: (cause as Error).message } : { err: cause };
}

/** For how long the rest of a body that is refused is read, in milliseconds. */
const DRAIN_MS = 2_000;

/**
 * Reads on, into nothing, until the whole body has come. A client that is still sending when its connection closes would
 * meet the reset and not the answer.
 */
function afterBody(body: IncomingMessage, send: () => void): void {
  if (body.complete || body.destroyed) return send();
  const done = () => {
    clearTimeout(patience);
    body.off('end', done).off('close', done);
    send();
  };
  const patience = setTimeout(done, DRAIN_MS);
  body.on('end', done).on('close', done).resume();
}

function answer(problem: Problem, request: FastifyRequest, reply: FastifyReply): void {
  void reply
    .code(problem.status)
    .headers({ 'cache-control': 'no-store', ...problem.headers })
    .type('application/problem+json; charset=utf-8')
    .send(JSON.stringify(problemBody(problem, request.id)));
}
