import type { Instant } from '../events/instant';
import type { AuditReport } from '../audit/audit';
import { auditInLooks } from '../audit/audit-looks';
import { recordAuditResult } from '../audit/audit-results';
import { auditSurfaces } from '../audit/audit-surfaces';
import type { SurfaceAuditReport } from '../audit/audit-surfaces';
import type { OperatorContext } from './operator-context';
import { requireLive } from './replay-plan';

export const DEFAULT_SAMPLE = 500;

type AuditContext = Pick<OperatorContext, 'pool' | 'store' | 'surfaces'>;

/** `sample` random runs of the live generation against the log. A finding is kept, as `keepFindings` says. */
export async function auditRuns(context: AuditContext, sample: number): Promise<AuditReport> {
  const generation = await requireLive(context.pool);
  const report = await auditInLooks(context, { generation, sample, random: Math.random });
  await keepFindings(context, report);
  return report;
}

/** Every table of the live generation against its run facts, and buckets against lists at `asOf`. */
export async function auditTables(context: AuditContext, asOf: Instant): Promise<SurfaceAuditReport> {
  const report = await auditSurfaces(context, { generation: await requireLive(context.pool), asOf });
  await keepFindings(context, report);
  return report;
}

/** For status and metrics, and for replays: rows that were found wrong are not to be copied. */
async function keepFindings({ pool }: AuditContext, report: AuditReport): Promise<void> {
  if (report.differences > 0) await recordAuditResult(pool, report);
}
