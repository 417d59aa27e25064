import type { AuditReport } from '../audit/audit';
import { auditInLooks } from '../audit/audit-looks';
import { recordAuditResult } from '../audit/audit-results';
import { auditSurfaces } from '../audit/audit-surfaces';
import type { SurfaceAuditReport } from '../audit/audit-surfaces';
import type { Instant } from '../events/instant';
import type { Generation } from '../projector/generations';
import type { OperatorContext } from './operator-context';
import { requireLive } from './replay-plan';
import { refuseOtherVersions, requireGeneration, stateOf } from './replays';

export const DEFAULT_SAMPLE = 500;

type AuditContext = Pick<OperatorContext, 'pool' | 'store' | 'surfaces'>;

/** What an operator asks an audit of. */
export interface AuditRequest {
  /** (Default: the live one) */
  readonly generation?: number | undefined;
}

/** `sample` random runs of a generation against the log. Kept for status and metrics, as what the background role finds is. */
export async function auditRuns(
  context: AuditContext,
  request: AuditRequest & { readonly sample: number },
): Promise<AuditReport> {
  const generation = await auditedIn(context, request);
  const report = await auditInLooks(context, { generation, sample: request.sample, random: Math.random });
  await recordAuditResult(context.pool, report);
  return report;
}

/**
 * Every table of a generation against its run facts, and buckets against lists at `asOf`. A finding is kept, for replays as well:
 * rows that were found wrong are not to be copied. That none was found says nothing of the facts, and is not.
 */
export async function auditTables(
  context: AuditContext,
  request: AuditRequest & { readonly asOf: Instant },
): Promise<SurfaceAuditReport> {
  const generation = await auditedIn(context, request);
  const report = await auditSurfaces(context, { generation, asOf: request.asOf });
  if (report.differences > 0) await recordAuditResult(context.pool, report, 0);
  return report;
}

/** One that has all its rows, and whose tables this binary's surfaces can tell the content of. */
async function auditedIn(context: AuditContext, { generation: id }: AuditRequest): Promise<Generation> {
  const generation =
    id === undefined
      ? await requireLive(context.pool)
      : stateOf([await requireGeneration(context, id)], id, ['live', 'ready', 'standby'], 'audit');
  refuseOtherVersions(generation, context, 'audit');
  return generation;
}
