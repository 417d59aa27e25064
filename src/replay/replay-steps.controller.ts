import { Controller, HttpCode, Inject, Post, UseInterceptors } from '@nestjs/common';
import { ApiOperation } from '@nestjs/swagger';
import { CurrentPrincipal, NeedsCapability, OnPlane } from '../auth/auth.guard';
import type { Principal } from '../auth/principal';
import { Answers, ParsedBody, ParsedParams } from '../http/parsed';
import { checkCutover, cutOver, DEFAULT_FORBIDDEN, previewRollBack, rollBack } from './cutover';
import { OPERATOR_CONTEXT } from './operator-context';
import type { OperatorContext } from './operator-context';
import { ReplayRefusals } from './replay-refusals';
import { previewEnding } from './replay-requests';
import {
  cutoverAnswer,
  cutoverBody,
  endingAnswer,
  replayParams,
  rollbackAnswer,
  rollbackBody,
  stepBody,
} from './replay-schemas';
import type { CutoverBody, ReplayParams, RollbackBody, StepBody } from './replay-schemas';
import { replayStatus } from './replay-status';
import { abortReplay, retireGeneration } from './replays';
import type { Operator } from './replays';

/** Decisions about generations. A cutover is a preview unless `apply` is set, the others are where it is false. */
@OnPlane('system')
@UseInterceptors(ReplayRefusals)
@Controller('system/projections')
export class ReplayStepsController {
  constructor(@Inject(OPERATOR_CONTEXT) private readonly context: OperatorContext) {}

  /** A preview answers its objections; with `apply` they refuse it (409). */
  @Post('replays/:id/cutover')
  @ApiOperation({
    summary: 'Make a ready generation live',
    description:
      'Only a preview without `apply`: the comparison with the live generation, and what speaks against the ' +
      'step as `objections`. With `apply` these refuse it (409) unless `force` is set with a `reason`. What ' +
      'was live stays as a standby, to roll back to.',
  })
  @HttpCode(200)
  @NeedsCapability('projections.operate')
  @Answers(cutoverAnswer)
  async cutover(
    @ParsedParams(replayParams) { id }: ReplayParams,
    @ParsedBody(cutoverBody) { apply, maxChangePercent, force, reason }: CutoverBody,
    @CurrentPrincipal() principal: Principal,
  ) {
    const gate = { maxChangePercent, forbidden: DEFAULT_FORBIDDEN };
    const asOf = this.context.clock.now();
    const check = apply
      ? await cutOver(this.context, id, { gate, force, asOf }, operatorOf(principal, reason))
      : await checkCutover(this.context, id, gate, asOf);
    return { data: { applied: apply, ...check } };
  }

  @Post('rollback')
  @ApiOperation({
    summary: 'Go back to the generation that was live before',
    description:
      'Only a preview with `apply: false`. With `from`, as a preview told it, it is refused with 409 once ' +
      'another generation is live; without, for ten seconds after a rollback.',
  })
  @HttpCode(200)
  @NeedsCapability('projections.operate')
  @Answers(rollbackAnswer)
  async rollback(
    @ParsedBody(rollbackBody) { apply, from, reason }: RollbackBody,
    @CurrentPrincipal() principal: Principal,
  ) {
    const switched = apply
      ? await rollBack(this.context, operatorOf(principal, reason), from)
      : await previewRollBack(this.context, from);
    return { data: { applied: apply, ...switched } };
  }

  @Post('replays/:id/retire')
  @ApiOperation({
    summary: 'Drop a standby or historical generation',
    description:
      'Only a preview with `apply: false`, refused as the step itself would be. A generation that is retired ' +
      'cannot be gone back to.',
  })
  @HttpCode(200)
  @NeedsCapability('projections.operate')
  @Answers(endingAnswer)
  async retire(
    @ParsedParams(replayParams) { id }: ReplayParams,
    @ParsedBody(stepBody) { apply, reason }: StepBody,
    @CurrentPrincipal() principal: Principal,
  ) {
    if (apply) await retireGeneration(this.context, id, operatorOf(principal, reason));
    else await previewEnding(this.context, id, 'retire');
    return { data: { applied: apply, replay: await replayStatus(this.context.pool, id) } };
  }

  @Post('replays/:id/abort')
  @ApiOperation({
    summary: 'Give up a replay before its cutover',
    description:
      'Only a preview with `apply: false`, refused as the step itself would be. What was built is dropped.',
  })
  @HttpCode(200)
  @NeedsCapability('projections.operate')
  @Answers(endingAnswer)
  async abort(
    @ParsedParams(replayParams) { id }: ReplayParams,
    @ParsedBody(stepBody) { apply, reason }: StepBody,
    @CurrentPrincipal() principal: Principal,
  ) {
    if (apply) await abortReplay(this.context, id, operatorOf(principal, reason));
    else await previewEnding(this.context, id, 'abort');
    return { data: { applied: apply, replay: await replayStatus(this.context.pool, id) } };
  }
}

function operatorOf({ subject }: Principal, reason: string | undefined): Operator {
  return { actor: subject, reason: reason ?? null };
}
