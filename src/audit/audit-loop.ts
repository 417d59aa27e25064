import { sleep } from '../tools/abortable';
import { isOfSurfaces, liveGeneration } from '../projector/generations';
import type { Lease } from '../projector/lease';
import { auditStreams } from './audit';
import type { AuditContext } from './audit';
import { recordAuditResult } from './audit-results';

export interface AuditLoopOptions extends AuditContext {
  /** Of several processes one audits. */
  readonly lease: Lease;
  /** Between the end of one look and the next. */
  readonly everyMs: number;
  /** Runs per look. */
  readonly sample: number;
  /** As `Math.random`. */
  readonly random: () => number;
  readonly log: {
    info(fields: object, message: string): void;
    error(fields: object, message: string): void;
  };
}

/** Looks at a few random runs of the live generation now and then, until `signal` aborts. Never throws. */
export async function runAuditLoop(options: AuditLoopOptions, signal: AbortSignal): Promise<void> {
  let held = false;
  while (!signal.aborted) {
    await sleep(options.everyMs, signal);
    if (signal.aborted) break;
    try {
      held = await options.lease.hold();
      if (held) await auditLive(options);
    } catch (error) {
      // A generation retired meanwhile takes its tables along; whatever else it was, the next look tells.
      options.log.error({ err: error }, 'the audit could not look; it will be tried again');
    }
  }
  // If the database is gone the lease runs out by itself.
  if (held) await options.lease.release().catch(() => undefined);
}

async function auditLive(options: AuditLoopOptions): Promise<void> {
  const { pool, surfaces, sample, random, log } = options;
  const generation = await liveGeneration(pool);
  // While versions are mixed, another binary's surfaces are not ours to judge.
  if (!generation || !isOfSurfaces(generation, surfaces)) return;
  const report = await auditStreams(options, { generation, sample, random });
  await recordAuditResult(pool, report);
  if (report.differences > 0)
    log.error(
      { generation: report.generation, differences: report.differences, found: report.found.slice(0, 5) },
      'rows do not say what the log does: see `opstruth audit`, and rebuild the generation',
    );
}
