import type { Instant } from '../events/instant';
import { listGenerations } from '../projector/generations';
import { listAuditEntries } from '../replay/audit-entries';
import { checkCutover, cutOver, DEFAULT_FORBIDDEN, previewRollBack, rollBack } from '../replay/cutover';
import { diffGenerations } from '../replay/generation-diff';
import { planReplay, requireLive } from '../replay/replay-plan';
import { previewEnding, requireCandidate } from '../replay/replay-requests';
import { listReplays, replayStatus } from '../replay/replay-status';
import {
  abortReplay,
  refuseOtherVersions,
  ReplayRefusedError,
  requireGeneration,
  retireGeneration,
  startReplay,
  stateOf,
} from '../replay/replays';
import type { StartRequest } from '../replay/replays';
import type { Output } from './output';
import { buildOrFollow } from './replay-build';
import { onReplays, operatorOf } from './replay-desk';
import type { Desk } from './replay-desk';
import { comparisonLines, cutoverLines, logLines, planLines, statusLines, statusTable } from './replay-lines';

export interface CandidateFlags {
  readonly policy?: number;
  readonly classifier?: number;
}
export interface PlanFlags extends CandidateFlags {
  readonly full?: boolean;
  readonly asOf?: Instant;
}
export interface StartFlags extends CandidateFlags {
  readonly full?: boolean;
  readonly until?: NonNullable<StartRequest['until']>;
  readonly detach?: boolean;
  readonly reason?: string;
}
export interface CutoverFlags {
  readonly apply?: boolean;
  readonly maxChange: number;
  readonly force?: boolean;
  readonly reason?: string;
}
export interface StepFlags {
  readonly dryRun?: boolean;
  readonly reason?: string;
}

export interface RollbackFlags extends StepFlags {
  readonly from?: number;
}

export async function planReplayVerb(output: Output, flags: PlanFlags) {
  await onReplays(async ({ context }) => {
    await requireCandidate(context, candidateOf(flags));
    const request = { ...candidateOf(flags), full: flags.full };
    const plan = await planReplay(context, request, flags.asOf ?? context.clock.now());
    output.result(plan, planLines);
  });
}

/** Makes the generation, then sees it built: here, or by the process that came first. `detach`: only makes it. */
export async function startReplayVerb(output: Output, flags: StartFlags) {
  await onReplays(async (desk) => {
    const { context } = desk;
    await requireCandidate(context, candidateOf(flags));
    const request = {
      ...candidateOf(flags),
      full: flags.full ?? false,
      ...(flags.until && { until: flags.until }),
    };
    const { id } = await startReplay(context, request, operatorOf(flags.reason));
    if (flags.detach) await tell(output, desk, id);
    else await build(output, desk, id);
  });
}

/** Goes on with a replay whose building was stopped, or follows it where another process builds. */
export async function resumeReplayVerb(output: Output, id: number) {
  await onReplays(async (desk) => {
    const { context } = desk;
    const generation = stateOf(await listGenerations(context.pool), id, ['building'], 'go on building');
    refuseOtherVersions(generation, context, 'go on building');
    await build(output, desk, id);
  });
}

export async function replayStatusVerb(output: Output, id: number | undefined) {
  await onReplays(async (desk) => {
    if (id !== undefined) await tell(output, desk, id);
    else output.result(await listReplays(desk.context.pool), statusTable);
  });
}

/** What operators did to projections, also over HTTP and to parked events and policies. */
export async function replayLogVerb(output: Output, limit: number) {
  await onReplays(async ({ context }) => {
    output.result(await listAuditEntries(context.pool, limit), logLines);
  });
}

export async function diffReplayVerb(output: Output, id: number, flags: { asOf?: Instant }) {
  await onReplays(async ({ context }) => {
    const { pool, clock } = context;
    const other = stateOf(await listGenerations(pool), id, ['ready', 'standby'], 'compare');
    const live = await requireLive(pool);
    output.result(await diffGenerations(pool, live, other, flags.asOf ?? clock.now()), (comparison) => [
      `generation ${live.id} (live) -> ${id} (${other.state}), judged at ${comparison.asOf}`,
      ...comparisonLines(comparison),
    ]);
  });
}

/** Without `apply` says what would change and what speaks against it. Exit code 1 where it is, or would be, refused. */
export async function cutoverVerb(output: Output, id: number, flags: CutoverFlags) {
  const { apply = false, force = false, maxChange, reason } = flags;
  await onReplays(async ({ context }) => {
    const operator = operatorOf(reason);
    const gate = { maxChangePercent: maxChange, forbidden: DEFAULT_FORBIDDEN };
    const asOf = context.clock.now();
    const check = apply
      ? await cutOver(context, id, { gate, force, asOf }, operator)
      : await checkCutover(context, id, gate, asOf);
    const refused = check.objections.length > 0 && !(force && operator.reason !== null);
    if (refused) process.exitCode = 1;
    output.result({ applied: apply, refused, ...check }, cutoverLines);
  });
}

/** With `from` refused where another generation is live by now, as when two operators go back at once. */
export async function rollbackVerb(
  output: Output,
  { dryRun = false, from: expected, reason }: RollbackFlags,
) {
  await onReplays(async ({ context }) => {
    const operator = operatorOf(reason);
    const wanted = dryRun
      ? await previewRollBack(context, expected)
      : await rollBack(context, operator, expected);
    const { from, to, warnings } = wanted;
    output.result({ applied: !dryRun, ...wanted }, () => [
      ...warnings.map((warning) => `warning: ${warning}`),
      dryRun
        ? `would make generation ${to} live again and ${from} standby; --from ${from} makes sure of it`
        : `generation ${to} is live again; ${from} is standby`,
    ]);
  });
}

export async function retireReplayVerb(output: Output, id: number, flags: StepFlags) {
  await endReplay(output, id, flags, 'retire');
}

export async function abortReplayVerb(output: Output, id: number, flags: StepFlags) {
  await endReplay(output, id, flags, 'abort');
}

async function endReplay(
  output: Output,
  id: number,
  { dryRun = false, reason }: StepFlags,
  action: 'abort' | 'retire',
) {
  await onReplays(async ({ context }) => {
    const operator = operatorOf(reason);
    const end = action === 'abort' ? abortReplay : retireGeneration;
    let isDropped = false;
    if (dryRun) await previewEnding(context, id, action);
    else isDropped = await end(context, id, operator);
    const { state } = await requireGeneration(context, id);
    output.result({ applied: !dryRun, id, state }, () => [
      dryRun
        ? `would ${action} generation ${id}, which is ${state}, and drop its tables`
        : `generation ${id} is ${action === 'abort' ? 'aborted' : 'retired'}: its tables are dropped` +
          (isDropped ? '' : ' by a serving process once nobody reads them any more'),
    ]);
  });
}

async function build(output: Output, desk: Desk, id: number): Promise<void> {
  const status = await buildOrFollow(output, desk, id);
  if (status.state === 'building' || status.state === 'failed') process.exitCode = 1;
  output.result(status, statusLines);
}

async function tell(output: Output, { context }: Desk, id: number): Promise<void> {
  const status = await replayStatus(context.pool, id);
  if (!status) throw new ReplayRefusedError('not_found', `there is no generation ${id}`);
  output.result(status, statusLines);
}

function candidateOf({ policy, classifier }: CandidateFlags) {
  return { policyVersion: policy, classifierVersion: classifier };
}
