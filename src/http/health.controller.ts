import { Controller, Get, Header, HttpStatus, Injectable, Res } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { Public } from '../auth/auth.guard';
import { Answers } from './parsed';

export interface ReadinessProbe {
  readonly name: string;
  /** `detail` is public: no address, no secret. A rejection counts as not ready. */
  readonly check: () => Promise<{ readonly ok: boolean; readonly detail: object }>;
  /** Default: 2000. */
  readonly timeoutMs?: number;
}

const DEFAULT_TIMEOUT_MS = 2_000;

/** What has to work before this process should get requests. Whoever owns a part adds its probe. */
@Injectable()
export class Readiness {
  private readonly probes: ReadinessProbe[] = [];

  add(...probes: readonly ReadinessProbe[]): void {
    this.probes.push(...probes);
  }

  async check(): Promise<ReadinessReport> {
    const results = await Promise.all(
      this.probes.map(async (probe) => [probe.name, await checkInTime(probe)] as const),
    );
    const failed = results.filter(([, { ok }]) => !ok).map(([name]) => name);
    return {
      status: failed.length === 0 ? 'ready' : 'not_ready',
      failed,
      checks: Object.fromEntries(results),
    };
  }
}

const readinessSchema = z
  .object({
    status: z.enum(['ready', 'not_ready']),
    failed: z.array(z.string()),
    checks: z.record(z.string(), z.object({ ok: z.boolean(), detail: z.record(z.string(), z.unknown()) })),
  })
  .meta({ id: 'Readiness' });
type ReadinessReport = z.infer<typeof readinessSchema>;

@ApiTags('health')
@Controller('health')
export class HealthController {
  constructor(private readonly readiness: Readiness) {}

  /** The process answers; whether it can work is another question. */
  @Public()
  @Get('live')
  @ApiOperation({
    summary: 'Whether this process answers',
    description: 'Whether it can work is what `/health/ready` tells.',
  })
  @Header('cache-control', 'no-store')
  @Answers(z.object({ status: z.literal('live') }))
  live(): { status: 'live' } {
    return { status: 'live' };
  }

  @Public()
  @Get('ready')
  @ApiOperation({
    summary: 'Whether this process can work',
    description:
      'Asks every part that has to work, each within a time limit. 503 when one does not: `failed` names it.',
  })
  @Header('cache-control', 'no-store')
  @Answers(readinessSchema)
  @Answers(readinessSchema, { status: 503, description: 'Not ready; `failed` says why' })
  async ready(@Res({ passthrough: true }) reply: FastifyReply): Promise<ReadinessReport> {
    const report = await this.readiness.check();
    if (report.failed.length > 0) void reply.code(HttpStatus.SERVICE_UNAVAILABLE).header('retry-after', '1');
    return report;
  }
}

async function checkInTime({ check, timeoutMs = DEFAULT_TIMEOUT_MS }: ReadinessProbe) {
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<{ ok: boolean; detail: object }>((resolve) => {
    timer = setTimeout(
      () => resolve({ ok: false, detail: { error: `no answer within ${timeoutMs} ms` } }),
      timeoutMs,
    );
  });
  try {
    const { ok, detail } = await Promise.race([check(), tooLate]);
    return { ok, detail: { ...detail } };
  } catch {
    // The reason is in the log of whoever owns the part; here it would be public.
    return { ok: false, detail: { error: 'the check failed' } };
  } finally {
    clearTimeout(timer);
  }
}
