import { Controller } from '@nestjs/common';
import { CommandBus } from '@nestjs/cqrs';
import { RouteConfig } from '@nestjs/platform-fastify';
import { ApiOperation } from '@nestjs/swagger';
import { OnPlane } from '../auth/auth.guard';
import { ParsedBody, ParsedParams } from '../http/parsed';
import { runIdParams } from './body-fields';
import type { RunIdParams } from './body-fields';
import { CancelRun, cancelBody } from './cancel-run.command';
import type { CancelBody } from './cancel-run.command';
import { CommandDesk, CurrentCall } from './command-desk';
import type { Call } from './command-desk';
import { CANCELLING, CommandRoute, REOPENING, RESOLVING } from './command-route';
import { CompleteRun, completeBody } from './complete-run.command';
import type { CompleteBody } from './complete-run.command';
import { BATCH_BODY_LIMIT_BYTES, ExecuteBatch, batchAnswerSchema, batchBody } from './execute-batch.command';
import type { BatchBody } from './execute-batch.command';
import { QueueRun, queueBody } from './queue-run.command';
import type { QueueBody } from './queue-run.command';
import { ReopenFollowUp, reopenBody } from './reopen-follow-up.command';
import type { ReopenBody } from './reopen-follow-up.command';
import { ReportProgress, progressBody } from './report-progress.command';
import type { ProgressBody } from './report-progress.command';
import { ResolveFollowUp, resolveBody } from './resolve-follow-up.command';
import type { ResolveBody } from './resolve-follow-up.command';
import { StartRun, startBody } from './start-run.command';
import type { StartBody } from './start-run.command';

/** What workers report of their runs, and what a tenant's own people do about them. */
@Controller()
@OnPlane('admin')
export class OperationRunsController {
  constructor(
    private readonly desk: CommandDesk,
    private readonly bus: CommandBus,
  ) {}

  @CommandRoute('operation-runs', 'runs.write', { status: 201 })
  @ApiOperation({
    summary: 'Queue a run',
    description:
      'Without a `runId` the run gets one, the same again under the same Idempotency-Key. An id that is ' +
      'taken is refused with 409, a workspace or tenant out of scope with 404.',
  })
  queue(@CurrentCall() call: Call, @ParsedBody(queueBody) body: QueueBody) {
    return this.desk.answerCommand(call, (sender) => this.bus.execute(new QueueRun(body, sender)));
  }

  /** The router's '::' is a colon. */
  @CommandRoute('operation-runs::batch', ['runs.write', 'runs.triage'], {
    answers: batchAnswerSchema,
    description: 'Each command accepted or refused by itself, as `results` tells',
    ofOneRun: false,
  })
  @ApiOperation({
    summary: 'Execute up to 1,000 commands',
    description:
      'Each command is accepted or refused by itself, those on one run in their order: the answer is 200, ' +
      'and `results` has one entry for each. An Idempotency-Key stands for the whole batch, a `commandId` ' +
      'for one command. If-Match is refused with 400, for it stands for one run.',
  })
  @RouteConfig({ bodyLimit: BATCH_BODY_LIMIT_BYTES })
  batch(@CurrentCall() call: Call, @ParsedBody(batchBody) body: BatchBody) {
    return this.desk.answer(call, async (sender) => {
      const { answer, failures } = await this.bus.execute(new ExecuteBatch(body, sender));
      for (const { runId, error } of failures)
        call.request.log.error({ runId, err: error }, 'a command of a batch failed');
      return { answer, final: failures.length === 0 };
    });
  }

  @CommandRoute('operation-runs/:runId/start', 'runs.write')
  @ApiOperation({
    summary: 'Report that a run has started',
    description:
      'Nothing changes on a run that is running already (`result` is `unchanged`). On a reconciled run the ' +
      'report is kept as evidence (`recorded_late`); on any other completed run it is refused with 409.',
  })
  start(
    @CurrentCall() call: Call,
    @ParsedParams(runIdParams) { runId }: RunIdParams,
    @ParsedBody(startBody) body: StartBody,
  ) {
    return this.desk.answerCommand(call, (sender) => this.bus.execute(new StartRun(runId, body, sender)));
  }

  @CommandRoute('operation-runs/:runId/progress', 'runs.write')
  @ApiOperation({
    summary: 'Report that a run is getting on',
    description:
      'Needs no `summaryCounts`: the report alone is a heartbeat. On a reconciled run it is kept as ' +
      'evidence (`result` is `recorded_late`); on any other completed run it is refused with 409.',
  })
  progress(
    @CurrentCall() call: Call,
    @ParsedParams(runIdParams) { runId }: RunIdParams,
    @ParsedBody(progressBody) body: ProgressBody,
  ) {
    return this.desk.answerCommand(call, (sender) =>
      this.bus.execute(new ReportProgress(runId, body, sender)),
    );
  }

  @CommandRoute('operation-runs/:runId/complete', 'runs.write')
  @ApiOperation({
    summary: 'Report how a run has ended',
    description:
      'A completed run stays as it is: on a reconciled or cancelled one the report is kept as evidence ' +
      '(`result` is `recorded_late`), on any other it is refused with 409.',
  })
  complete(
    @CurrentCall() call: Call,
    @ParsedParams(runIdParams) { runId }: RunIdParams,
    @ParsedBody(completeBody) body: CompleteBody,
  ) {
    return this.desk.answerCommand(call, (sender) => this.bus.execute(new CompleteRun(runId, body, sender)));
  }

  @CommandRoute('operation-runs/:runId/cancel', 'runs.write')
  @ApiOperation({ summary: 'Cancel a run', description: CANCELLING })
  cancel(
    @CurrentCall() call: Call,
    @ParsedParams(runIdParams) { runId }: RunIdParams,
    @ParsedBody(cancelBody) body: CancelBody,
  ) {
    return this.desk.answerCommand(call, (sender) => this.bus.execute(new CancelRun(runId, body, sender)));
  }

  @CommandRoute('operation-runs/:runId/follow-up/resolve', 'runs.triage')
  @ApiOperation({ summary: 'Mark a run as investigated', description: RESOLVING })
  resolve(
    @CurrentCall() call: Call,
    @ParsedParams(runIdParams) { runId }: RunIdParams,
    @ParsedBody(resolveBody) body: ResolveBody,
  ) {
    return this.desk.answerCommand(call, (sender) =>
      this.bus.execute(new ResolveFollowUp(runId, body, sender)),
    );
  }

  @CommandRoute('operation-runs/:runId/follow-up/reopen', 'runs.triage')
  @ApiOperation({ summary: 'Reopen the follow-up of a run', description: REOPENING })
  reopen(
    @CurrentCall() call: Call,
    @ParsedParams(runIdParams) { runId }: RunIdParams,
    @ParsedBody(reopenBody) body: ReopenBody,
  ) {
    return this.desk.answerCommand(call, (sender) =>
      this.bus.execute(new ReopenFollowUp(runId, body, sender)),
    );
  }
}
