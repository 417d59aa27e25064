import { HttpCode, Post, applyDecorators } from '@nestjs/common';
import { ApiHeader } from '@nestjs/swagger';
import type { z } from 'zod';
import { NeedsCapability } from '../auth/auth.guard';
import type { Capability } from '../auth/principal';
import { Answers } from '../http/parsed';
import { commandAnswerSchema } from './answer';

/** What both planes' routes say of a command that both have. */
export const CANCELLING =
  'Completes a queued or running run with the outcome `cancelled`; any other completed run is refused with ' +
  '409. On a cancelled one nothing changes (`result` is `unchanged`).';
export const RESOLVING =
  'Refused with 409 when the run has no problem to investigate. Sent again, it changes nothing (`result` is ' +
  '`unchanged`) unless it brings another `note`.';
export const REOPENING =
  'Takes back that the run was investigated. On a run that is open nothing changes (`result` is `unchanged`).';

/** A POST that carries a command: its path, what the token needs, and what it answers when it accepts. */
export const CommandRoute = (
  path: string,
  /** Of several any one lets in, and the handler asks for each command's own. */
  capability: Capability | readonly [Capability, ...Capability[]],
  {
    status = 200,
    answers = commandAnswerSchema,
    description = 'Accepted',
    ofOneRun = true,
  }: {
    status?: number;
    answers?: z.ZodType;
    description?: string;
    /** If-Match stands for one run's version: a command on several has none to compare it with. */
    ofOneRun?: boolean;
  } = {},
): MethodDecorator =>
  applyDecorators(
    Post(path),
    HttpCode(status),
    NeedsCapability(...(typeof capability === 'string' ? ([capability] as const) : capability)),
    Answers(answers, { status, description }),
    ApiHeader({
      name: 'Idempotency-Key',
      required: false,
      description: 'The same key with the same request gets the same answer, and acts once.',
      schema: { type: 'string', minLength: 1, maxLength: 200 },
    }),
    ...(ofOneRun ? [IF_MATCH] : []),
  );

const IF_MATCH = ApiHeader({
  name: 'If-Match',
  required: false,
  description:
    "The run's version in quotes, as a command's ETag or `data.version` gave it. Any other tag, such as the ETag of a " +
    'read, answers 412.',
  schema: { type: 'string' },
});
