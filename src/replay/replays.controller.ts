import { Readable } from 'node:stream';
import { Controller, Get, HttpCode, Inject, Optional, Post, Res, UseInterceptors } from '@nestjs/common';
import type { OnModuleDestroy } from '@nestjs/common';
import { ApiResponse } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { CurrentPrincipal, NeedsCapability, OnPlane } from '../auth/auth.guard';
import type { Principal } from '../auth/principal';
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

  /** Changes nothing, so that whoever may read may ask. The router's '::' is a colon. */
  @Post('replays::plan')
  @HttpCode(200)
  @Answers(planAnswer)
  async plan(@ParsedBody(planBody) { asOf, ...candidate }: PlanBody) {
    await requireCandidate(this.context, candidate);
    return { data: await planReplay(this.context, candidate, asOf ?? this.context.clock.now()) };
  }

  /** A process with the projector role builds what this asks for. */
  @Post('replays')
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
  @Answers(listAnswer)
  async list() {
    return { data: { replays: await listReplays(this.context.pool) } };
  }

  @Get('replays/:id')
  @Answers(statusAnswer)
  async status(@ParsedParams(replayParams) { id }: ReplayParams) {
    return { data: await this.statusOf(id) };
  }

  @Get('replays/:id/events')
  @ApiResponse({
    status: 200,
    description:
      'Server-sent events, each with a ReplayStatus: `progress` about once a second, then `ready`, `failed` or `ended`',
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
