import { Command, CommandHandler } from '@nestjs/cqrs';
import type { ICommandHandler } from '@nestjs/cqrs';
import { z } from 'zod';
import type { RunCommand } from '../domain/decider';
import { text } from './body-fields';
import type { CommandResult } from './command-result';
import { RunCommandExecutor } from './run-command-executor';
import { envelopeOf } from './sender';
import type { Sender } from './sender';

/** A missing reason is the decider's to refuse (422), not the schema's. */
export const markFailedBody = z.strictObject({ reason: text });
export type MarkFailedBody = z.infer<typeof markFailedBody>;

export class MarkRunFailed extends Command<CommandResult> {
  constructor(
    readonly runId: string,
    readonly body: MarkFailedBody,
    readonly sender: Sender,
  ) {
    super();
  }
}

@CommandHandler(MarkRunFailed)
export class MarkRunFailedHandler implements ICommandHandler<MarkRunFailed> {
  constructor(private readonly executor: RunCommandExecutor) {}

  execute({ runId, body, sender }: MarkRunFailed): Promise<CommandResult> {
    return this.executor.execute(envelopeOf(runId, markFailedCommand(body, sender), sender));
  }
}

function markFailedCommand(body: MarkFailedBody, sender: Sender): RunCommand {
  return { kind: 'mark-failed', at: sender.now, by: sender.actor, reason: body.reason ?? null };
}
