import { Command, CommandHandler } from '@nestjs/cqrs';
import type { ICommandHandler } from '@nestjs/cqrs';
import { z } from 'zod';
import type { RunCommand } from '../domain/decider';
import type { Instant } from '../events/instant';
import { occurredAt, sourceTime, summaryCounts } from './body-fields';
import type { CommandResult } from './command-result';
import { RunCommandExecutor } from './run-command-executor';
import { envelopeOf } from './sender';
import type { Sender } from './sender';

export const progressBody = z.strictObject({ occurredAt, summaryCounts });
export type ProgressBody = z.infer<typeof progressBody>;

export class ReportProgress extends Command<CommandResult> {
  constructor(
    readonly runId: string,
    readonly body: ProgressBody,
    readonly sender: Sender,
  ) {
    super();
  }
}

@CommandHandler(ReportProgress)
export class ReportProgressHandler implements ICommandHandler<ReportProgress> {
  constructor(private readonly executor: RunCommandExecutor) {}

  execute({ runId, body, sender }: ReportProgress): Promise<CommandResult> {
    return this.executor.execute(envelopeOf(runId, progressCommand(body, sender.now), sender));
  }
}

export function progressCommand(body: ProgressBody, now: Instant): RunCommand {
  return {
    kind: 'progress',
    at: sourceTime(body.occurredAt, now),
    summaryCounts: body.summaryCounts ?? null,
  };
}
