import { Controller } from '@nestjs/common';
import { CommandBus } from '@nestjs/cqrs';
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
import { MarkRunFailed, markFailedBody } from './mark-run-failed.command';
import type { MarkFailedBody } from './mark-run-failed.command';
import { ReopenFollowUp, reopenBody } from './reopen-follow-up.command';
import type { ReopenBody } from './reopen-follow-up.command';
import { ResolveFollowUp, resolveBody } from './resolve-follow-up.command';
import type { ResolveBody } from './resolve-follow-up.command';
import { RetryRun, retryBody } from './retry-run.command';
import type { RetryBody } from './retry-run.command';

/** What the platform's operators do about runs of any workspace. */
@Controller('system/ops/runs/:runId')
@OnPlane('system')
export class RunTriageController {
  constructor(
    private readonly desk: CommandDesk,
    private readonly bus: CommandBus,
  ) {}

  @CommandRoute('retry', 'ops.triage')
  @ApiOperation({
    summary: 'Retry a completed run',
    description:
      'Queues a successor with the same workspace, tenant, type and context: `successorRunId` names it, and ' +
      '`position` covers both runs. Refused with 409 for a type that policy does not retry, and while the ' +
      'newest retry is queued or running. A reconciled run needs a `reason` (422 without).',
  })
  retry(
    @CurrentCall() call: Call,
    @ParsedParams(runIdParams) { runId }: RunIdParams,
    @ParsedBody(retryBody) body: RetryBody,
  ) {
    return this.desk.answerCommand(call, (sender) => this.bus.execute(new RetryRun(runId, body, sender)));
  }

  @CommandRoute('cancel', 'ops.triage')
  @ApiOperation({ summary: 'Cancel a run of any workspace', description: CANCELLING })
  cancel(
    @CurrentCall() call: Call,
    @ParsedParams(runIdParams) { runId }: RunIdParams,
    @ParsedBody(cancelBody) body: CancelBody,
  ) {
    return this.desk.answerCommand(call, (sender) => this.bus.execute(new CancelRun(runId, body, sender)));
  }

  @CommandRoute('mark-failed', 'ops.triage')
  @ApiOperation({
    summary: 'Mark a stale run as failed',
    description:
      'Needs a `reason` (422 without), and is refused with 409 while the run is not stale. The run is then ' +
      'a reconciled one: what its worker still reports is kept as evidence.',
  })
  markFailed(
    @CurrentCall() call: Call,
    @ParsedParams(runIdParams) { runId }: RunIdParams,
    @ParsedBody(markFailedBody) body: MarkFailedBody,
  ) {
    return this.desk.answerCommand(call, (sender) =>
      this.bus.execute(new MarkRunFailed(runId, body, sender)),
    );
  }

  @CommandRoute('mark-investigated', 'ops.triage')
  @ApiOperation({ summary: 'Mark a run of any workspace as investigated', description: RESOLVING })
  markInvestigated(
    @CurrentCall() call: Call,
    @ParsedParams(runIdParams) { runId }: RunIdParams,
    @ParsedBody(resolveBody) body: ResolveBody,
  ) {
    return this.desk.answerCommand(call, (sender) =>
      this.bus.execute(new ResolveFollowUp(runId, body, sender)),
    );
  }

  @CommandRoute('reopen', 'ops.triage')
  @ApiOperation({ summary: 'Reopen the follow-up of a run of any workspace', description: REOPENING })
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
