import { Controller, Get, HttpCode, Inject, Post, UseInterceptors } from '@nestjs/common';
import { ApiOperation } from '@nestjs/swagger';
import { z } from 'zod';
import { CurrentPrincipal, NeedsCapability, OnPlane } from '../auth/auth.guard';
import type { Principal } from '../auth/principal';
import { LARGEST_INT } from '../db/largest-int';
import { idSchema, streamIdSchema, streamOf } from '../events/operation-run-events';
import { Answers, ParsedBody, ParsedParams, ParsedQuery } from '../http/parsed';
import { Problem } from '../http/problem';
import { single, wholeNumber } from '../http/query-values';
import { DEFAULT_LIMIT, MAX_LIMIT } from '../http/read-request';
import { listParked } from '../projector/parked-streams';
import type { RetryResult } from '../projector/parked-streams';
import { projectionStatus } from '../projector/projection-status';
import { listAuditEntries } from './audit-entries';
import { OPERATOR_CONTEXT } from './operator-context';
import { discardAs, mendableIn, nameOf, parkedIn, previewDiscardAs, retryAs } from './parked-actions';
import type { OperatorContext } from './operator-context';
import { ReplayRefusals } from './replay-refusals';
import { neededReason, numberedId } from './replay-schemas';

const statusSchema = z
  .object({
    tail: z.string(),
    logIdentity: z.string(),
    generations: z.array(
      z.object({
        generation: z.int(),
        state: z.enum(['building', 'ready', 'live', 'standby', 'retired', 'failed']),
        classifierVersion: z.int(),
        policyVersion: z.int(),
        position: z.string(),
        until: z
          .string()
          .nullable()
          .describe('Where a historical generation ends: an instant or a position.'),
        eventsApplied: z.int(),
        lag: z.object({ events: z.int(), exact: z.boolean(), seconds: z.number() }),
        parked: z.object({ streams: z.int(), events: z.int() }),
        checkpointAt: z.string().nullable(),
        failure: z.string().nullable(),
        /** What audits have found; null before the first look. */
        audit: z
          .object({
            lastAt: z.string(),
            runs: z.int(),
            differences: z.int(),
            runsTotal: z.int(),
            differencesTotal: z.int(),
            foundAt: z.string().nullable(),
            found: z.array(z.unknown()),
          })
          .nullable(),
      }),
    ),
    lease: z.object({ holder: z.string(), expiresAt: z.string() }).nullable(),
  })
  .meta({ id: 'ProjectionStatus' });

const parkedStreamSchema = z.object({
  streamId: z.string(),
  runId: z.string().nullable().describe("Null of a stream that is no run's: deal with it by `streamId`."),
  revision: z.int(),
  eventType: z.string(),
  cause: z.string(),
  events: z.int(),
  parkedAt: z.string(),
});

const parkedSchema = z.object({ streams: z.array(parkedStreamSchema) });

const retrySchema = z.object({
  kind: z.enum(['cleared', 'parked_again']),
  events: z.int(),
  revision: z.int().optional(),
  cause: z.string().optional(),
  failedElsewhere: z
    .array(z.string())
    .optional()
    .describe('The same is done in the other generations that follow the log; where it failed, and why.'),
});

const discardSchema = z.union([
  z.object({ applied: z.literal(false), wouldDiscard: parkedStreamSchema }),
  retrySchema.extend({ applied: z.literal(true) }),
]);

const auditSchema = z.object({
  entries: z.array(
    z.object({
      id: z.string(),
      at: z.string(),
      actor: z.string(),
      action: z.string(),
      generation: z.int().nullable(),
      reason: z.string().nullable(),
      details: z.record(z.string(), z.unknown()),
    }),
  ),
});

const auditQuery = z.strictObject({ limit: single(wholeNumber(1, MAX_LIMIT)).default(DEFAULT_LIMIT) });
const runParams = z.strictObject({ runId: idSchema });
const streamParams = z.strictObject({ streamId: streamIdSchema });
const parkedQuery = z.strictObject({ generation: single(wholeNumber(1, LARGEST_INT)).optional() });
const generation = numberedId
  .describe('The one in which the stream is parked. Default: the live one.')
  .optional();
const retryBody = z.strictObject({ generation });
const discardBody = z.strictObject({
  generation,
  reason: neededReason,
  apply: z.boolean().default(false),
});
type RetryBody = z.infer<typeof retryBody>;
type DiscardBody = z.infer<typeof discardBody>;

const RETRYING =
  'Acts at once, on the live generation unless `generation` names another. `parked_again` tells at which ' +
  'event the stream is parked now and why; 404 when it is not parked.';
const DISCARDING =
  'For good, in later generations too; without `apply` it only tells which event that would be. The `reason` is kept. The ' +
  'events behind the one left out are tried again, and `parked_again` tells at which of them the stream is parked now. ' +
  'The first event of a run takes the whole run with it: its id can never be used again. ' +
  'Refused while another generation that follows the log has applied the event.';

/** The projections themselves, as those who run the platform see them. */
@OnPlane('system')
@UseInterceptors(ReplayRefusals)
@Controller('system/projections')
export class ProjectionsController {
  constructor(@Inject(OPERATOR_CONTEXT) private readonly context: OperatorContext) {}

  @Get()
  @ApiOperation({
    summary: 'Position, lag and parked streams of each generation',
    description:
      'Of the generations that have tables: retired and failed ones are left out. `lag.events` is at least ' +
      'that many where `lag.exact` is false.',
  })
  @Answers(z.object({ data: statusSchema }))
  async status() {
    const { pool, store, clock } = this.context;
    return { data: await projectionStatus(pool, store, clock) };
  }

  /** What operators did, the latest first. */
  @Get('audit-entries')
  @ApiOperation({
    summary: 'What operators did to projections, the latest first',
    description:
      'One entry for each action, none for a preview. There are no pages: `limit` says how many at most.',
  })
  @Answers(z.object({ data: auditSchema }))
  async auditEntries(@ParsedQuery(auditQuery) { limit }: z.infer<typeof auditQuery>) {
    return { data: { entries: await listAuditEntries(this.context.pool, limit) } };
  }

  @Get('parked')
  @ApiOperation({
    summary: 'Streams with events that could not be applied',
    description: 'Of the live generation unless `generation` names another one that has tables.',
  })
  @Answers(z.object({ data: parkedSchema }))
  async parked(@ParsedQuery(parkedQuery) { generation: id }: z.infer<typeof parkedQuery>) {
    return { data: { streams: await listParked(this.context.pool, await parkedIn(this.context, id)) } };
  }

  @Post('parked/:runId/retry')
  @ApiOperation({ summary: 'Try the parked events of a run again', description: RETRYING })
  @HttpCode(200)
  @NeedsCapability('projections.operate')
  @Answers(z.object({ data: retrySchema }))
  retry(
    @ParsedParams(runParams) { runId }: z.infer<typeof runParams>,
    @ParsedBody(retryBody) body: RetryBody,
    @CurrentPrincipal() principal: Principal,
  ) {
    return this.retried(streamOf(runId), body, principal);
  }

  /** Of any stream that lies in the log, also one that is no run's. */
  @Post('parked/streams/:streamId/retry')
  @ApiOperation({ summary: 'Try the parked events of any stream again', description: RETRYING })
  @HttpCode(200)
  @NeedsCapability('projections.operate')
  @Answers(z.object({ data: retrySchema }))
  retryStream(
    @ParsedParams(streamParams) { streamId }: z.infer<typeof streamParams>,
    @ParsedBody(retryBody) body: RetryBody,
    @CurrentPrincipal() principal: Principal,
  ) {
    return this.retried(streamId, body, principal);
  }

  @Post('parked/:runId/discard')
  @ApiOperation({ summary: 'Leave out the event that parks a run', description: DISCARDING })
  @HttpCode(200)
  @NeedsCapability('projections.operate')
  @Answers(z.object({ data: discardSchema }))
  discard(
    @ParsedParams(runParams) { runId }: z.infer<typeof runParams>,
    @ParsedBody(discardBody) body: DiscardBody,
    @CurrentPrincipal() principal: Principal,
  ) {
    return this.discarded(streamOf(runId), body, principal);
  }

  @Post('parked/streams/:streamId/discard')
  @ApiOperation({ summary: 'Leave out the event that parks any stream', description: DISCARDING })
  @HttpCode(200)
  @NeedsCapability('projections.operate')
  @Answers(z.object({ data: discardSchema }))
  discardStream(
    @ParsedParams(streamParams) { streamId }: z.infer<typeof streamParams>,
    @ParsedBody(discardBody) body: DiscardBody,
    @CurrentPrincipal() principal: Principal,
  ) {
    return this.discarded(streamId, body, principal);
  }

  private async retried(streamId: string, { generation: id }: RetryBody, { subject }: Principal) {
    const operator = { actor: subject, reason: null };
    const { generation: parked, parkedContext } = await mendableIn(this.context, id);
    return answered(streamId, await retryAs(operator, parked, streamId, parkedContext));
  }

  private async discarded(streamId: string, body: DiscardBody, { subject }: Principal) {
    const { generation: parked, parkedContext } = await mendableIn(this.context, body.generation);
    if (!body.apply) {
      const wouldDiscard = await previewDiscardAs(parked, streamId, parkedContext);
      if (!wouldDiscard) throw Problem.notFound(`${nameOf(streamId)} is not parked`);
      return { data: { applied: false, wouldDiscard } };
    }
    const operator = { actor: subject, reason: body.reason };
    const { data } = answered(streamId, await discardAs(operator, parked, streamId, parkedContext));
    return { data: { applied: true, ...data } };
  }
}

function answered(streamId: string, result: RetryResult) {
  if (result.kind === 'not_parked') throw Problem.notFound(`${nameOf(streamId)} is not parked`);
  return { data: result };
}
