import { Controller, Get } from '@nestjs/common';
import { ApiOperation } from '@nestjs/swagger';
import { z } from 'zod';
import { CurrentPrincipal, OnPlane } from '../../src/auth/auth.guard';
import type { Principal } from '../../src/auth/principal';
import { decisionOf } from '../../src/classifier/decision-zone';
import { runRowSchema, storedRunOf } from '../../src/classifier/run-row';
import type { RunFacts } from '../../src/domain/run-facts';
import { canonicalInstant } from '../../src/events/instant';
import { PLANES, failureSchema, idSchema, RUN_EVENT_TYPES } from '../../src/events/operation-run-events';
import { envelopeOf } from '../../src/http/envelope';
import { Answers, ParsedParams, ParsedQuery } from '../../src/http/parsed';
import { Problem } from '../../src/http/problem';
import { readParametersSchema, systemReadParametersSchema } from '../../src/http/read-request';
import type { ReadParameters } from '../../src/http/read-request';
import { actionsOn } from '../../src/http/offered-actions';
import type { ListedRun } from '../../src/http/run-filter-list';
import { RunViews } from '../../src/http/run-view';
import type { RunView } from '../../src/http/run-view';
import { classifiedOf } from './detail';
import { oneRun } from './run-detail.query';
import { runDetail } from './run-detail.surface';

const runPath = z.strictObject({ runId: idSchema });

const neighbourSchema = runRowSchema
  .pick({
    runId: true,
    href: true,
    status: true,
    outcome: true,
    problemClass: true,
    severity: true,
    label: true,
    queuedAt: true,
    completedAt: true,
  })
  .meta({ id: 'LinkedRun' });

const timelineEntrySchema = z.object({
  event: z.enum(RUN_EVENT_TYPES),
  at: z.string(),
  actor: z.string(),
  plane: z.enum([...PLANES, 'worker']),
  note: z.string().nullable(),
  /** Of heartbeats in a row: how many, and when the newest came. */
  count: z.int(),
  lastAt: z.string(),
});

const discardedEventSchema = z.object({
  event: z.string().nullable().describe('Its type; null where it was not kept with the decision.'),
  revision: z.int().describe("Its place in the run's stream, from 0 on."),
  at: z.string().describe('When that was decided.'),
  actor: z.string().describe('Who decided it.'),
  reason: z.string(),
});

const detailSchema = runRowSchema
  .extend({
    failures: z.array(failureSchema),
    reason: z.string().nullable(),
    context: z.record(z.string(), z.unknown()),
    decisionZone: z.object({
      what: z.string(),
      why: z.string(),
      evidence: z.array(z.object({ label: z.string(), value: z.string() })),
      next: z.string(),
      actions: z.array(z.object({ name: z.string(), allowed: z.boolean(), reason: z.string().nullable() })),
    }),
    timeline: z.array(timelineEntrySchema),
    /** Entries left out of the middle of an overlong timeline. */
    timelineOmitted: z.int(),
    discardedEvents: z
      .array(discardedEventSchema)
      .describe(
        'Events of this run that an operator has left out for good: the rest of this page does not know them.',
      ),
    predecessors: z.array(neighbourSchema),
    successors: z.array(neighbourSchema),
  })
  .meta({ id: 'RunDetail' });

const DESCRIPTION =
  '`decisionZone.actions` says what this token may do about the run and, where it may not, why: by the ' +
  'rules of the commands themselves, as of `meta.position`. `successors` are the newest 50 retries at most.';

@Controller()
export class RunDetailController {
  constructor(private readonly views: RunViews) {}

  @Get('admin/operations/:runId')
  @ApiOperation({ summary: 'One run: what it is, what can be done, its story', description: DESCRIPTION })
  @OnPlane('admin')
  @Answers(envelopeOf(detailSchema))
  inAdmin(
    @ParsedParams(runPath) { runId }: z.infer<typeof runPath>,
    @ParsedQuery(readParametersSchema) query: ReadParameters,
    @CurrentPrincipal() principal: Principal,
  ) {
    return this.one(runId, query, principal);
  }

  @Get('system/ops/runs/:runId')
  @ApiOperation({
    summary: 'One run of any workspace: what it is, what can be done, its story',
    description: DESCRIPTION,
  })
  @OnPlane('system')
  @Answers(envelopeOf(detailSchema))
  inSystem(
    @ParsedParams(runPath) { runId }: z.infer<typeof runPath>,
    @ParsedQuery(systemReadParametersSchema) query: ReadParameters,
    @CurrentPrincipal() principal: Principal,
  ) {
    return this.one(runId, query, principal);
  }

  private async one(runId: string, query: ReadParameters, principal: Principal) {
    const view = this.views.open({ surface: runDetail.name, query, principal });
    const answer = await oneRun(view, runId);
    const { meta, run: found, predecessors, successors, discardedEvents } = answer;
    if (!found) throw new Problem('run_not_found');
    const run = classifiedOf(found, meta.policyVersion);
    const { facts } = run;
    const question = { at: view.asOf, activeSuccessorRunId: activeSuccessor(facts, answer) };
    return {
      meta,
      data: {
        ...view.present(storedRunOf(found.run)),
        failures: facts.failureSummary,
        reason: facts.reason,
        context: facts.context,
        decisionZone: { ...decisionOf(run, view.asOf), actions: actionsOn(run, principal, question) },
        timeline: facts.timeline,
        timelineOmitted: facts.timelineOmitted,
        discardedEvents: discardedEvents.map(({ at, ...rest }) => ({ ...rest, at: canonicalInstant(at) })),
        predecessors: predecessors.map((linked) => neighbourOf(linked, view)),
        successors: successors.map((linked) => neighbourOf(linked, view)),
      },
    };
  }
}

/**
 * The newest retry while it is not known to be over; one that was named and is not to be seen yet is under way, unless it was
 * discarded.
 */
function activeSuccessor(
  { runId, successorRunIds }: RunFacts,
  { successors, discardedRetry }: Pick<Awaited<ReturnType<typeof oneRun>>, 'successors' | 'discardedRetry'>,
): string | null {
  const newest = successorRunIds.at(-1) ?? null;
  const row = successors.find(({ run }) => run.runId === newest);
  const isOver = row && (row.run.status === 'completed' || row.run.predecessorRunId !== runId);
  return isOver || discardedRetry.length > 0 ? null : newest;
}

function neighbourOf({ run }: ListedRun, view: RunView): z.infer<typeof neighbourSchema> {
  const { runId, href, status, outcome, problemClass, severity, label, queuedAt, completedAt } = view.present(
    storedRunOf(run),
  );
  return { runId, href, status, outcome, problemClass, severity, label, queuedAt, completedAt };
}
