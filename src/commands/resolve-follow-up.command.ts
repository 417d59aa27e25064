import { Command, CommandHandler } from '@nestjs/cqrs';
import type { ICommandHandler } from '@nestjs/cqrs';
import { z } from 'zod';
import type { RunCommand } from '../domain/decider';
import type { Instant } from '../events/instant';
import { occurredAt, sourceTime, text } from './body-fields';
import type { CommandResult } from './command-result';
import { RunCommandExecutor } from './run-command-executor';
import { envelopeOf } from './sender';
import type { Sender } from './sender';

export const resolveBody = z.strictObject({ note: text, occurredAt });
export type ResolveBody = z.infer<typeof resolveBody>;

export class ResolveFollowUp extends Command<CommandResult> {
  constructor(
    readonly runId: string,
    readonly body: ResolveBody,
    readonly sender: Sender,
  ) {
    super();
  }
}

@CommandHandler(ResolveFollowUp)
export class ResolveFollowUpHandler implements ICommandHandler<ResolveFollowUp> {
  constructor(private readonly executor: RunCommandExecutor) {}

  execute({ runId, body, sender }: ResolveFollowUp): Promise<CommandResult> {
    return this.executor.execute(envelopeOf(runId, resolveCommand(body, sender.now), sender));
  }
}

export function resolveCommand(body: ResolveBody, now: Instant): RunCommand {
  return { kind: 'resolve', at: sourceTime(body.occurredAt, now), note: body.note ?? null };
}
