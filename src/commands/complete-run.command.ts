import { Command, CommandHandler } from '@nestjs/cqrs';
import type { ICommandHandler } from '@nestjs/cqrs';
import { z } from 'zod';
import type { RunCommand } from '../domain/decider';
import type { Instant } from '../events/instant';
import { TERMINAL_OUTCOMES } from '../events/operation-run-events';
import { failureSummary, occurredAt, reasonCode, sourceTime, summaryCounts, text } from './body-fields';
import type { CommandResult } from './command-result';
import { RunCommandExecutor } from './run-command-executor';
import { envelopeOf } from './sender';
import type { Sender } from './sender';

export const completeBody = z.strictObject({
  outcome: z.enum(TERMINAL_OUTCOMES),
  summaryCounts,
  failureSummary,
  reasonCode,
  reason: text,
  occurredAt,
});
export type CompleteBody = z.infer<typeof completeBody>;

export class CompleteRun extends Command<CommandResult> {
  constructor(
    readonly runId: string,
    readonly body: CompleteBody,
    readonly sender: Sender,
  ) {
    super();
  }
}

@CommandHandler(CompleteRun)
export class CompleteRunHandler implements ICommandHandler<CompleteRun> {
  constructor(private readonly executor: RunCommandExecutor) {}

  execute({ runId, body, sender }: CompleteRun): Promise<CommandResult> {
    return this.executor.execute(envelopeOf(runId, completeCommand(body, sender.now), sender));
  }
}

export function completeCommand(body: CompleteBody, now: Instant): RunCommand {
  return {
    kind: 'complete',
    at: sourceTime(body.occurredAt, now),
    outcome: body.outcome,
    summaryCounts: body.summaryCounts ?? null,
    failureSummary: body.failureSummary ?? [],
    reasonCode: body.reasonCode ?? null,
    reason: body.reason ?? null,
  };
}
