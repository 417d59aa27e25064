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

export const cancelBody = z.strictObject({ reason: text, occurredAt });
export type CancelBody = z.infer<typeof cancelBody>;

export class CancelRun extends Command<CommandResult> {
  constructor(
    readonly runId: string,
    readonly body: CancelBody,
    readonly sender: Sender,
  ) {
    super();
  }
}

@CommandHandler(CancelRun)
export class CancelRunHandler implements ICommandHandler<CancelRun> {
  constructor(private readonly executor: RunCommandExecutor) {}

  execute({ runId, body, sender }: CancelRun): Promise<CommandResult> {
    return this.executor.execute(envelopeOf(runId, cancelCommand(body, sender.now), sender));
  }
}

export function cancelCommand(body: CancelBody, now: Instant): RunCommand {
  return { kind: 'cancel', at: sourceTime(body.occurredAt, now), reason: body.reason ?? null };
}
