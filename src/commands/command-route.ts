import { HttpCode, Post, applyDecorators } from '@nestjs/common';
import { ApiHeader } from '@nestjs/swagger';
import type { z } from 'zod';
import { NeedsCapability } from '../auth/auth.guard';
import type { Capability } from '../auth/principal';
import { Answers } from '../http/parsed';
import { commandAnswerSchema } from './answer';

/** A POST that carries a command: its path, what the token needs, and what it answers when it accepts. */
export const CommandRoute = (
  path: string,
  /** Of several any one lets in, and the handler asks for each command's own. */
  capability: Capability | readonly [Capability, ...Capability[]],
  {
    status = 200,
    answers = commandAnswerSchema,
    description = 'Accepted',
  }: { status?: number; answers?: z.ZodType; description?: string } = {},
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
    ApiHeader({
      name: 'If-Match',
      required: false,
      description: "The run's version in quotes, as an ETag gave it. Any other version answers 412.",
      schema: { type: 'string' },
    }),
  );
