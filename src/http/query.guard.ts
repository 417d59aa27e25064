import { SetMetadata } from '@nestjs/common';
import type { CanActivate, ExecutionContext } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { Problem } from './problem';

const PARSES_QUERY = 'opstruth:parses-query';

/** Said by `ParsedQuery` of its handler. */
export const ParsesQuery = () => SetMetadata(PARSES_QUERY, true);

/**
 * Global, after authentication: a handler that parses no query takes no parameter. To ignore one would be to do what a
 * caller with `?dryRun=true` did not ask for. What is public is left alone: probes add what they like.
 */
export class QueryGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<FastifyRequest & { principal?: unknown }>();
    if (request.principal === undefined) return true;
    if (Reflect.hasMetadata(PARSES_QUERY, context.getHandler())) return true;
    const given = Object.keys(request.query as object);
    if (given.length === 0) return true;
    throw Problem.invalidRequest(given.map((path) => ({ path, message: 'unknown field' })));
  }
}
