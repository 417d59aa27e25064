import { Command, CommandHandler } from '@nestjs/cqrs';
import type { ICommandHandler } from '@nestjs/cqrs';
import { z } from 'zod';
import type { RunCommand } from '../domain/decider';
import type { Instant } from '../events/instant';
import { occurredAt, sourceTime } from './body-fields';
import type { CommandResult } from './command-result';
import { RunCommandExecutor } from './run-command-executor';
import { envelopeOf } from './sender';
import type { Sender } from './sender';

export const startBody = z.strictObject({ occurredAt });
export type StartBody = z.infer<typeof startBody>;

export class StartRun extends Command<CommandResult> {
  constructor(
    readonly runId: string,
    readonly body: StartBody,
    readonly sender: Sender,
  ) {
    super();
  }
}

@CommandHandler(StartRun)
export class StartRunHandler implements ICommandHandler<StartRun> {
  constructor(private readonly executor: RunCommandExecutor) {}

  execute({ runId, body, sender }: StartRun): Promise<CommandResult> {
    return this.executor.execute(envelopeOf(runId, startCommand(body, sender.now), sender));
  }
}

export function startCommand(body: StartBody, now: Instant): RunCommand {
  return { kind: 'start', at: sourceTime(body.occurredAt, now) };
}
