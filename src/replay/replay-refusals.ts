import { Injectable } from '@nestjs/common';
import type { CallHandler, ExecutionContext, NestInterceptor } from '@nestjs/common';
import { catchError, throwError } from 'rxjs';
import type { Observable } from 'rxjs';
import { Problem } from '../http/problem';
import { ReplayRefusedError } from './replays';

/** Turns what the replays refuse into the problem it is over HTTP. */
@Injectable()
export class ReplayRefusals implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler<unknown>): Observable<unknown> {
    return next.handle().pipe(
      catchError((error: unknown) => {
        const told = error instanceof ReplayRefusedError ? problemOf(error) : error;
        return throwError(() => told);
      }),
    );
  }
}

function problemOf({ code, message, details }: ReplayRefusedError): Problem {
  const members = code === 'cutover_refused' ? { objections: details } : {};
  return new Problem(code, { detail: message, members });
}
