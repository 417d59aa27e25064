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

export const reopenBody = z.strictObject({ note: text, occurredAt });
export type ReopenBody = z.infer<typeof reopenBody>;

export class ReopenFollowUp extends Command<CommandResult> {
  constructor(
    readonly runId: string,
    readonly body: ReopenBody,
    readonly sender: Sender,
  ) {
    super();
  }
}

@CommandHandler(ReopenFollowUp)
export class ReopenFollowUpHandler implements ICommandHandler<ReopenFollowUp> {
  constructor(private readonly executor: RunCommandExecutor) {}

  execute({ runId, body, sender }: ReopenFollowUp): Promise<CommandResult> {
    return this.executor.execute(envelopeOf(runId, reopenCommand(body, sender.now), sender));
  }
}

export function reopenCommand(body: ReopenBody, now: Instant): RunCommand {
  return { kind: 'reopen', at: sourceTime(body.occurredAt, now), note: body.note ?? null };
}
