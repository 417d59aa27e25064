import { Readable } from 'node:stream';
import { Controller, Get, HttpCode, Inject, Optional, Post, Res, UseInterceptors } from '@nestjs/common';
import type { OnModuleDestroy } from '@nestjs/common';
import { ApiOperation, ApiResponse } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { CurrentPrincipal, NeedsCapability, OnPlane } from '../auth/auth.guard';
import type { Principal } from '../auth/principal';
import { Refuses } from '../http/openapi';
import { Answers, ParsedBody, ParsedParams, ParsedQuery } from '../http/parsed';
import { Problem } from '../http/problem';
import { listGenerations } from '../projector/generations';
import { diffGenerations } from './generation-diff';
import { OPERATOR_CONTEXT } from './operator-context';
import type { OperatorContext } from './operator-context';
import { DEFAULT_REPLAY_EVENTS_TIMING, REPLAY_EVENTS_TIMING, replayEvents } from './replay-events';
import type { ReplayEventsTiming } from './replay-events';
import { planReplay, requireLive } from './replay-plan';
import { ReplayRefusals } from './replay-refusals';
import { requireCandidate } from './replay-requests';
import {
  diffAnswer,
  diffQuery,
  listAnswer,
  planAnswer,
  planBody,
  replayParams,
  startBody,
  statusAnswer,
} from './replay-schemas';
import type { DiffQuery, PlanBody, ReplayParams, StartBody } from './replay-schemas';
import { listReplays, replayStatus } from './replay-status';
import { startReplay, stateOf } from './replays';

/** Replays up to the point where somebody decides about them: planned, started, watched, compared. */
@OnPlane('system')
@UseInterceptors(ReplayRefusals)
@Controller('system/projections')
export class ReplaysController implements OnModuleDestroy {
  private readonly streams = new Set<() => void>();
  private stopping = false;

  constructor(
    @Inject(OPERATOR_CONTEXT) private readonly context: OperatorContext,
    @Optional()
    @Inject(REPLAY_EVENTS_TIMING)
    private readonly timing: ReplayEventsTiming = DEFAULT_REPLAY_EVENTS_TIMING,
  ) {}

  /** Changes nothing, but judges every run: for operators. The router's '::' is a colon. */
  @Post('replays::plan')
  @ApiOperation({
    summary: 'What a replay would change, without building anything',
    description:
      "Judges the live generation's runs at `asOf` by the rules in force and by those asked for, and " +
      'estimates how long the build would take.',
  })
  @HttpCode(200)
  @NeedsCapability('projections.operate')
  @Answers(planAnswer)
  async plan(@ParsedBody(planBody) { asOf, ...candidate }: PlanBody) {
    await requireCandidate(this.context, candidate);
    return { data: await planReplay(this.context, candidate, asOf ?? this.context.clock.now()) };
  }

  /** A process with the projector role builds what this asks for. */
  @Post('replays')
  @ApiOperation({
    summary: 'Start a replay',
    description:
      'Acts at once: 202, and a process with the projector role builds it. With `until` the generation is ' +
      'historical: it ends there and cannot go live. Without, it is refused with 409 while another one is ' +
      'building or waits for its cutover.',
  })
  @HttpCode(202)
  @NeedsCapability('projections.operate')
  @Answers(statusAnswer, { status: 202, description: 'Asked for; `location` tells how far it is' })
  async start(
    @ParsedBody(startBody) { until, reason, ...request }: StartBody,
    @CurrentPrincipal() { subject }: Principal,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    await requireCandidate(this.context, request);
    const { id } = await startReplay(
      this.context,
      { ...request, ...(until && { until }) },
      { actor: subject, reason: reason ?? null },
    );
    void reply.header('location', `/system/projections/replays/${id}`);
    return { data: await this.statusOf(id) };
  }

  @Get('replays')
  @ApiOperation({
    summary: 'Generations and how they were built, the newest first',
    description: 'At most the newest 100; there are no pages.',
  })
  @Answers(listAnswer)
  async list() {
    return { data: { replays: await listReplays(this.context.pool) } };
  }

  @Get('replays/:id')
  @ApiOperation({ summary: 'State and progress of one replay' })
  @Answers(statusAnswer)
  async status(@ParsedParams(replayParams) { id }: ReplayParams) {
    return { data: await this.statusOf(id) };
  }

  @Get('replays/:id/events')
  @ApiOperation({
    summary: 'Progress of one replay as server-sent events',
    description:
      'The last event is `ready`, `failed` or `ended`, and the only one when the replay is no longer ' +
      'building. Comments keep a quiet connection open.',
  })
  @ApiResponse({
    status: 200,
    description:
      'Server-sent events, each with a ReplayStatus: `progress` about once a second, then `ready`, `failed` ' +
      'or `ended`',
    content: { 'text/event-stream': { schema: { type: 'string' } } },
  })
  async events(
    @ParsedParams(replayParams) { id }: ReplayParams,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    await this.statusOf(id);
    const ending = new AbortController();
    const end = () => {
      ending.abort();
      this.streams.delete(end);
    };
    this.streams.add(end);
    // The answer closes when it is complete, when the client goes, and also when only its head was asked for.
    reply.raw.once('close', end);
    // Either may have come while the replay was looked up, and would not come again.
    if (this.stopping || reply.raw.destroyed) end();
    void reply.headers({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      // Kept alive after its last event, the connection would hold up a server that is stopping.
      connection: 'close',
      // nginx would otherwise keep events back until its buffer is full.
      'x-accel-buffering': 'no',
    });
    return Readable.from(replayEvents(() => replayStatus(this.context.pool, id), this.timing, ending.signal));
  }

  /** What the operator sees after a cutover or rollback to this generation, against what is live now. */
  @Get('replays/:id/diff')
  @ApiOperation({
    summary: 'Compare a generation with the live one',
    description:
      'Judges at `asOf` every run that both have got to: how many go from which class to which, with ' +
      'samples. Refused with 409 unless the generation is ready or a standby.',
  })
  @NeedsCapability('projections.operate')
  @Refuses(409, 'The generation is neither ready nor a standby')
  @Answers(diffAnswer)
  async diff(@ParsedParams(replayParams) { id }: ReplayParams, @ParsedQuery(diffQuery) { asOf }: DiffQuery) {
    const { pool, clock } = this.context;
    const other = stateOf(await listGenerations(pool), id, ['ready', 'standby'], 'compare');
    return { data: await diffGenerations(pool, await requireLive(pool), other, asOf ?? clock.now()) };
  }

  /** The server waits for its answers to end before it stops, and these would not. */
  onModuleDestroy(): void {
    this.stopping = true;
    for (const end of this.streams) end();
  }

  private async statusOf(id: number) {
    const status = await replayStatus(this.context.pool, id);
    if (!status) throw Problem.notFound(`there is no replay ${id}`);
    return status;
  }
}
