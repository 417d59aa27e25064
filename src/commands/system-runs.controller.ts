import { Controller } from '@nestjs/common';
import { CommandBus } from '@nestjs/cqrs';
import { OnPlane } from '../auth/auth.guard';
import { ParsedBody, ParsedParams } from '../http/parsed';
import { runIdParams } from './body-fields';
import type { RunIdParams } from './body-fields';
import { CancelRun, cancelBody } from './cancel-run.command';
import type { CancelBody } from './cancel-run.command';
import { CommandDesk, CurrentCall } from './command-desk';
import type { Call } from './command-desk';
import { CommandRoute } from './command-route';
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
export class SystemRunsController {
  constructor(
    private readonly desk: CommandDesk,
    private readonly bus: CommandBus,
  ) {}

  @CommandRoute('retry', 'ops.triage')
  retry(
    @CurrentCall() call: Call,
    @ParsedParams(runIdParams) { runId }: RunIdParams,
    @ParsedBody(retryBody) body: RetryBody,
  ) {
    return this.desk.answerCommand(call, (sender) => this.bus.execute(new RetryRun(runId, body, sender)));
  }

  @CommandRoute('cancel', 'ops.triage')
  cancel(
    @CurrentCall() call: Call,
    @ParsedParams(runIdParams) { runId }: RunIdParams,
    @ParsedBody(cancelBody) body: CancelBody,
  ) {
    return this.desk.answerCommand(call, (sender) => this.bus.execute(new CancelRun(runId, body, sender)));
  }

  @CommandRoute('mark-failed', 'ops.triage')
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
