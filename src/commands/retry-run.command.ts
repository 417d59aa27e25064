import { Command, CommandHandler } from '@nestjs/cqrs';
import type { ICommandHandler } from '@nestjs/cqrs';
import { z } from 'zod';
import { text } from './body-fields';
import { retryRun } from './retry-run';
import type { RetryResult } from './retry-run';
import { RunCommandExecutor } from './run-command-executor';
import type { Sender } from './sender';

export const retryBody = z.strictObject({ reason: text });
export type RetryBody = z.infer<typeof retryBody>;

export class RetryRun extends Command<RetryResult> {
  constructor(
    readonly runId: string,
    readonly body: RetryBody,
    readonly sender: Sender,
  ) {
    super();
  }
}

@CommandHandler(RetryRun)
export class RetryRunHandler implements ICommandHandler<RetryRun> {
  constructor(private readonly executor: RunCommandExecutor) {}

  execute({ runId, body, sender }: RetryRun): Promise<RetryResult> {
    return retryRun(this.executor, runId, body.reason ?? null, sender);
  }
}
