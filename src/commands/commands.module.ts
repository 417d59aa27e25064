import { Module } from '@nestjs/common';
import { CqrsModule } from '@nestjs/cqrs';
import type { Judge } from '../domain/classification';
import type { EventStore } from '../event-store/event-store';
import { CancelRunHandler } from './cancel-run.command';
import { CommandDesk } from './command-desk';
import { CompleteRunHandler } from './complete-run.command';
import { ExecuteBatchHandler } from './execute-batch.command';
import { IdempotencyKeys } from './idempotency';
import { MarkRunFailedHandler } from './mark-run-failed.command';
import { OperationRunsController } from './operation-runs.controller';
import { QueueRunHandler } from './queue-run.command';
import { ReopenFollowUpHandler } from './reopen-follow-up.command';
import { ReportProgressHandler } from './report-progress.command';
import { ResolveFollowUpHandler } from './resolve-follow-up.command';
import { RetryRunHandler } from './retry-run.command';
import { RunCommandExecutor } from './run-command-executor';
import { StartRunHandler } from './start-run.command';
import { RunTriageController } from './run-triage.controller';
import type { Discards } from './run-loader';
import { DISCARDS, EVENT_STORE, JUDGE } from './tokens';

/**
 * The write side over HTTP. Some global module must provide EVENT_STORE, JUDGE, DISCARDS, NEW_ID, COMMANDS_POOL and CLOCK. One
 * executor serves every handler, so that writers of one process take turns instead of running into each other.
 */
@Module({
  imports: [CqrsModule],
  controllers: [OperationRunsController, RunTriageController],
  providers: [
    {
      provide: RunCommandExecutor,
      inject: [EVENT_STORE, JUDGE, DISCARDS],
      useFactory: (store: EventStore, judge: () => Judge, discards: Discards) =>
        new RunCommandExecutor({ store, judge, discards }),
    },
    IdempotencyKeys,
    CommandDesk,
    QueueRunHandler,
    StartRunHandler,
    ReportProgressHandler,
    CompleteRunHandler,
    CancelRunHandler,
    ResolveFollowUpHandler,
    ReopenFollowUpHandler,
    RetryRunHandler,
    MarkRunFailedHandler,
    ExecuteBatchHandler,
  ],
  exports: [RunCommandExecutor, IdempotencyKeys],
})
export class CommandsModule {}
