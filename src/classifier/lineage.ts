import { z } from 'zod';
import type { LateReport, RunFacts } from '../domain/run-facts';
import { lateReportSchema, staleEvidenceSchema } from '../events/operation-run-events';
import type { StaleEvidence, SummaryCounts } from '../events/operation-run-events';

const storedReportSchema = lateReportSchema.extend({ occurredAt: z.string() });

/** A late report as rows keep it, its keys in one order. */
export type StoredReport = z.infer<typeof storedReportSchema>;

/** What is known of a run that was ended without its worker's word. Every surface shows the same, and it never shrinks. */
export const lineageSchema = staleEvidenceSchema.extend({ lateReport: storedReportSchema.optional() });
export type Lineage = z.infer<typeof lineageSchema>;

/** The lineage of a run: null when its own worker or a cancellation ended it, or nothing has. */
export function lineageOf({
  evidence,
  lateReport,
}: Pick<RunFacts, 'evidence' | 'lateReport'>): Lineage | null {
  if (evidence === null) return null;
  const ordered = orderedEvidence(evidence);
  return lateReport === null ? ordered : { ...ordered, lateReport: orderedReport(lateReport) };
}

/** The same counts with their keys sorted: events and facts come from tables that keep no order. */
export function sortedCounts(counts: SummaryCounts | null): SummaryCounts | null {
  return (
    counts &&
    Object.fromEntries(
      Object.keys(counts)
        .sort()
        .map((key) => [key, counts[key]!]),
    )
  );
}

export function orderedEvidence(evidence: StaleEvidence): StaleEvidence {
  return {
    firstStaleAt: evidence.firstStaleAt,
    staleKind: evidence.staleKind,
    thresholdSeconds: evidence.thresholdSeconds,
    lastHeartbeatAt: evidence.lastHeartbeatAt,
    priorStatus: evidence.priorStatus,
    reconciledAt: evidence.reconciledAt,
    reconciledBy: evidence.reconciledBy,
    reasonCode: evidence.reasonCode,
    reason: evidence.reason,
    policyVersion: evidence.policyVersion,
  };
}

export function orderedReport(report: LateReport): StoredReport {
  return {
    kind: report.kind,
    occurredAt: report.occurredAt,
    outcome: report.outcome,
    summaryCounts: sortedCounts(report.summaryCounts),
    failureSummary: report.failureSummary.map(({ code, message, count }) => ({ code, message, count })),
  };
}
