import { isUtf8 } from 'node:buffer';
import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { LogController } from 'fastify';
import type { FastifyReply, FastifyRequest, RouteOptions } from 'fastify';
import type { Logger } from 'pino';
import { AuthGuard } from '../auth/auth.guard';
import { Metrics } from '../observability/metrics';
import { logRequest } from '../observability/logger';
import { asProblem } from './as-problem';
import { tagAnswers } from './etag';
import { KnownRoutes } from './known-routes';
import { refuseDeepBodies } from './nesting';
import { serveOpenApi } from './openapi';
import { Problem } from './problem';
import { ProblemFilter, sendProblem } from './problem.filter';
import { QueryGuard } from './query.guard';
import { refuseConnections } from './refuse-connection';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** How many bytes the body of this route may have, in place of BODY_LIMIT_BYTES. */
    bodyLimit?: number;
  }
}

export const BODY_LIMIT_BYTES = 1024 * 1024;

/** Ids of other systems travel in paths: 200 characters of idSchema, each up to 4 bytes, percent-encoded. */
const MAX_PARAM_LENGTH = 2_500;

/** The server behind the app. One route may take more: `@RouteConfig({ bodyLimit: bytes })` on its handler. */
export function createHttpAdapter(logger: Logger): FastifyAdapter {
  return new FastifyAdapter({
    loggerInstance: logger,
    // One line per request, written when it has been answered: see logRequest.
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: BODY_LIMIT_BYTES,
    routerOptions: { maxParamLength: MAX_PARAM_LENGTH },
    requestIdHeader: false,
    genReqId: requestId,
    // What the router itself cannot read (a broken percent-encoding) never reaches Nest's filters.
    frameworkErrors: (error: Error, request: FastifyRequest, reply: FastifyReply) =>
      sendProblem(asProblem(error), request, reply),
    // And what no router has seen, for it is no HTTP.
    clientErrorHandler: refuseConnections(logger),
  });
}

/** What would be parsed as something else than was meant. */
function faultOfBody({ headers }: FastifyRequest, body: Buffer): Problem | null {
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity')
    return new Problem('unsupported_media_type', {
      detail: 'the body must not be compressed',
      headers: { 'accept-encoding': 'identity' },
    });
  return isUtf8(body) ? null : Problem.invalidRequest([{ path: '', message: 'the body is not in UTF-8' }]);
}

/** A caller's own id when it is short and harmless in a log, else a new one. */
function requestId(request: Pick<IncomingMessage, 'headers'>): string {
  const given = request.headers['x-request-id'];
  return typeof given === 'string' && /^[A-Za-z0-9._-]{1,128}$/.test(given) ? given : randomUUID();
}

/**
 * Everything between the socket and the controllers, the same for the server and for tests. To be called once,
 * after the app was created with `createHttpAdapter` and `{ bodyParser: false }`, and before it is initialised.
 */
export function configureHttp(app: NestFastifyApplication): void {
  const routes = new KnownRoutes();
  const fastify = app.getHttpAdapter().getInstance();
  const metrics = app.get(Metrics);

  // Only JSON comes in: any other body is refused with 415 instead of reaching a schema as a text.
  fastify.removeContentTypeParser(['text/plain', 'application/json']);
  const parse = fastify.getDefaultJsonParser('error', 'error');
  fastify.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    // Many clients name the type of every body, and some commands need none.
    if (body.length === 0) return done(null, undefined);
    const problem = faultOfBody(request, body as Buffer);
    if (problem) done(problem);
    else void parse(request, body.toString(), done);
  });
  fastify.addHook('onRoute', (route: RouteOptions) => {
    routes.add(route.url, route.method);
    const limit = route.config?.bodyLimit;
    if (limit !== undefined) route.bodyLimit = limit;
  });
  fastify.addHook('onRequest', (request, reply, done) => {
    void reply.headers({ 'x-request-id': request.id, 'x-content-type-options': 'nosniff' });
    done();
  });
  refuseDeepBodies(fastify);
  tagAnswers(fastify);
  fastify.addHook('onResponse', (request, reply, done) => {
    metrics.observeRequest(request, reply);
    logRequest(request, reply);
    done();
  });

  app.useGlobalFilters(new ProblemFilter(routes));
  app.useGlobalGuards(app.get(AuthGuard), new QueryGuard());
  serveOpenApi(app);
}
