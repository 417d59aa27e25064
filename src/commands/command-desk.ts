import { Inject, Injectable, createParamDecorator } from '@nestjs/common';
import type { ExecutionContext } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Principal } from '../auth/principal';
import type { Clock } from '../events/instant';
import { asProblem } from '../http/as-problem';
import { CLOCK } from '../http/clock';
import { Problem, isProblemCode, problemBody } from '../http/problem';
import type { ProblemBody } from '../http/problem';
import { answerOf } from './answer';
import { problemOf } from './command-problem';
import type { CommandResult } from './command-result';
import { IdempotencyKeys } from './idempotency';
import type { StoredAnswer } from './idempotency';
import { expectedVersionOf, idempotencyKeyOf } from './request-headers';
import type { RetryResult } from './retry-run';
import type { Sender } from './sender';
import { NEW_ID } from './tokens';

/** An HTTP request that carries a command. */
export interface Call {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly principal: Principal;
}

/** The call a handler is to answer. The guard has set the principal. */
export const CurrentCall = createParamDecorator((_: unknown, context: ExecutionContext): Call => {
  const http = context.switchToHttp();
  const request = http.getRequest<FastifyRequest & { principal?: Principal }>();
  const { principal } = request;
  if (!principal) throw new Error(`${request.url} takes commands and has let somebody in without a token`);
  return { request, reply: http.getResponse<FastifyReply>(), principal };
});

/** `final`: a repeat under the same key gets this answer again. Otherwise it runs again. */
export interface Settled {
  readonly answer: object | Problem;
  readonly final: boolean;
}

/** Between HTTP and commands: who sends, when, under which id; and the same answer twice for an Idempotency-Key. */
@Injectable()
export class CommandDesk {
  constructor(
    private readonly keys: IdempotencyKeys,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(NEW_ID) private readonly newId: () => string,
  ) {}

  /** Answers what one command came to. */
  answerCommand(call: Call, work: (sender: Sender) => Promise<CommandResult | RetryResult>): Promise<object> {
    return this.answer(call, async (sender) => {
      const answer = answerOf(await work(sender));
      // A run that is not there may be there tomorrow: that answer is not for ever.
      return { answer, final: !(answer instanceof Problem && answer.status === 404) };
    });
  }

  /** Returns the body, sets headers, and throws the Problem that a refusal is. */
  async answer(call: Call, work: (sender: Sender) => Promise<Settled>): Promise<object> {
    const key = idempotencyKeyOf(call.request);
    const sender = this.senderOf(call);
    if (key === null) return deliver(call, (await attempt(work, sender)).answer);

    // Planes apart, as their tokens are.
    const subject = `${sender.plane}:${sender.actor}`;
    const keyed = { subject, key, scope: call.principal.scope };
    const reservation = await this.keys.reserve({ ...keyed, content: contentOf(call) });
    switch (reservation.kind) {
      case 'reused':
        throw Problem.idempotencyKeyReused(key);
      case 'answered':
        return replay(call, reservation.answer);
      case 'open': {
        const { commandId } = reservation;
        let settled: Settled;
        try {
          settled = await attempt(work, { ...sender, commandId, mayBeRepeat: true });
        } catch (error) {
          if (asProblem(error).status < 500) await this.keys.release(subject, key);
          throw error;
        }
        if (settled.final) await this.keys.keep(keyed, stored(call, settled.answer));
        else if (settled.answer instanceof Problem) await this.keys.release(subject, key);
        return deliver(call, settled.answer);
      }
    }
  }

  private senderOf({ request, principal }: Call): Sender {
    return {
      commandId: this.newId(),
      actor: principal.subject,
      plane: principal.plane,
      correlationId: request.id,
      scope: principal.scope,
      capabilities: principal.capabilities,
      expectedVersion: expectedVersionOf(request),
      now: this.clock.now(),
    };
  }
}

function contentOf({ request }: Call): readonly unknown[] {
  const { method, url, headers, body } = request;
  // No body is what an empty one is.
  return [method, url, headers['if-match'] ?? null, body ?? {}];
}

async function attempt(work: (sender: Sender) => Promise<Settled>, sender: Sender): Promise<Settled> {
  try {
    return await work(sender);
  } catch (error) {
    throw problemOf(error);
  }
}

function deliver({ reply }: Call, answer: object): object {
  if (answer instanceof Problem) throw answer;
  if ('version' in answer) void reply.header('etag', `"${String(answer.version)}"`);
  return answer;
}

function stored({ request, reply }: Call, answer: object | Problem): StoredAnswer {
  return answer instanceof Problem
    ? { status: answer.status, response: problemBody(answer, request.id) }
    : { status: reply.statusCode, response: answer };
}

function replay(call: Call, { status, response }: StoredAnswer): object {
  const headers = { 'idempotency-replayed': 'true' };
  if (status < 400) {
    void call.reply.headers(headers);
    // Only objects are ever stored.
    return deliver(call, response as object);
  }
  // `stored` wrote it, and its order is the answer's order.
  const {
    code: storedCode,
    detail,
    type: _type,
    title: _title,
    status: _status,
    ...members
  } = response as ProblemBody;
  // An older version may have stored a code that this one does not know, whatever the type says.
  const code: string = storedCode;
  if (!isProblemCode(code)) throw new Error(`a stored answer has the unknown problem code ${code}`);
  // `instance` is among the members: it stays that of the request which was really refused.
  throw new Problem(code, { ...(detail !== undefined && { detail }), members, headers });
}
