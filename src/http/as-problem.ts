import { HttpException } from '@nestjs/common';
import { ZodError } from 'zod';
import { isUnreachable } from '../db/database';
import { EventStoreUnavailableError } from '../event-store/event-store';
import { NoSlotError } from '../tools/slots';
import { Problem } from './problem';
import type { FieldError, ProblemCode } from './problem';

const CODE_OF_STATUS: Readonly<Record<number, ProblemCode>> = {
  400: 'invalid_request',
  401: 'unauthenticated',
  403: 'forbidden',
  404: 'not_found',
  405: 'method_not_allowed',
  409: 'conflict',
  412: 'precondition_failed',
  413: 'payload_too_large',
  414: 'url_too_long',
  415: 'unsupported_media_type',
  422: 'unprocessable',
  429: 'too_many_requests',
  503: 'not_ready',
};

/** Whatever was thrown, as the problem to answer with. Of the unexpected nothing but its being internal is told. */
export function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof ZodError) return Problem.invalidRequest(fieldErrors(error));
  if (error instanceof NoSlotError)
    return Problem.notReady('too many other reads are under way here, and none came to its end in time', {
      cause: error,
    });
  if (isUnreachable(error))
    return Problem.notReady('the database is not available at the moment', { cause: error });
  if (error instanceof EventStoreUnavailableError)
    return Problem.notReady('the event store does not answer', { cause: error });
  const status = statusOf(error);
  const code = CODE_OF_STATUS[status];
  if (!code || !(error instanceof Error)) return new Problem('internal', { cause: error });
  // The words of a 5xx are for the log: whoever wrote them did not think of a caller.
  if (status >= 500) return new Problem(code, { cause: error });
  return code === 'invalid_request'
    ? Problem.invalidRequest([{ path: '', message: error.message }])
    : new Problem(code, { detail: error.message });
}

/** Nest's exceptions, and Fastify's own refusals before any handler runs; both write their 4xx for callers. */
function statusOf(error: unknown): number {
  if (error instanceof HttpException) return error.getStatus();
  const isFastifys = error instanceof Error && 'code' in error && String(error.code).startsWith('FST_');
  return isFastifys && 'statusCode' in error ? Number(error.statusCode) : 500;
}

/** A ZodError's issues, each with the dotted path of its field; fields that are not known have one each. */
export function fieldErrors(error: ZodError): FieldError[] {
  return error.issues.flatMap((issue) =>
    issue.code === 'unrecognized_keys'
      ? issue.keys.map((key) => ({ path: pathText([...issue.path, key]), message: 'unknown field' }))
      : [{ path: pathText(issue.path), message: issue.message }],
  );
}

function pathText(path: readonly PropertyKey[]): string {
  return path.map(String).join('.');
}
