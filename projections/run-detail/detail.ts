import { rowVerdictAt } from '../../src/classifier/classified-run';
import type { ClassifiedRun } from '../../src/classifier/classified-run';
import type { StoredRun } from '../../src/classifier/run-row';
import { compactJson, restored } from '../../src/classifier/compact-json';
import type { Compact, Usual } from '../../src/classifier/compact-json';
import { timelineDocument, timelineOf } from '../../src/classifier/facts-document';
import type { TimelineDocument } from '../../src/classifier/facts-document';
import type { RunFacts } from '../../src/domain/run-facts';
import { addSeconds } from '../../src/events/instant';

/** What a run's own page tells beyond its row in a list. Kept beside that row, and only once per run. */
interface StoredDetail extends Pick<
  RunFacts,
  | 'reason'
  | 'context'
  | 'failureSummary'
  | 'timelineOmitted'
  | 'progressMovedAt'
  | 'heartbeatsSinceProgress'
  | 'successorRunIds'
> {
  readonly timeline: readonly TimelineDocument[];
  readonly policyVersion: number;
  readonly position: string;
}

function storedDetail({ facts, timeline, position }: ClassifiedRun): StoredDetail {
  return {
    reason: facts.reason,
    context: facts.context,
    failureSummary: facts.failureSummary,
    timeline: timelineDocument(facts.timeline),
    timelineOmitted: facts.timelineOmitted,
    progressMovedAt: facts.progressMovedAt,
    heartbeatsSinceProgress: facts.heartbeatsSinceProgress,
    successorRunIds: facts.successorRunIds,
    policyVersion: timeline.policyVersion,
    position,
  };
}

const USUAL_DETAIL = {
  reason: null,
  context: {},
  failureSummary: [],
  timeline: undefined,
  timelineOmitted: 0,
  progressMovedAt: null,
  heartbeatsSinceProgress: 0,
  successorRunIds: [],
  policyVersion: undefined,
  position: undefined,
} as const satisfies Usual<StoredDetail>;

/** A detail as its row's JSON has it. */
export type DetailDocument = Compact<StoredDetail, typeof USUAL_DETAIL>;

export function detailJson(run: ClassifiedRun): string {
  return compactJson(storedDetail(run), USUAL_DETAIL);
}

/** The classified run that row and detail were made of: what the presenter and the decider ask for. */
export function classifiedOf(run: StoredRun, document: DetailDocument): ClassifiedRun {
  const { problemClass, freshness, staleAt } = run;
  const detail = restored<StoredDetail, typeof USUAL_DETAIL>(document, USUAL_DETAIL);
  return {
    position: detail.position,
    incomplete: run.incomplete,
    facts: {
      runId: run.runId,
      workspaceId: run.workspaceId,
      tenantId: run.tenantId,
      type: run.type,
      initiator: run.initiator,
      origin: run.origin,
      status: run.status,
      outcome: run.outcome,
      queuedAt: run.queuedAt,
      startedAt: run.startedAt,
      lastHeartbeatAt: run.lastHeartbeatAt,
      completedAt: run.completedAt,
      progressMovedAt: detail.progressMovedAt,
      heartbeatsSinceProgress: detail.heartbeatsSinceProgress,
      summaryCounts: run.summaryCounts,
      failureSummary: detail.failureSummary,
      context: detail.context,
      reasonCode: run.reasonCode,
      reason: detail.reason,
      evidence: run.evidence,
      lateReport: run.lateReport,
      resolution: run.resolution,
      predecessorRunId: run.predecessorRunId,
      successorRunIds: detail.successorRunIds,
      timeline: timelineOf(detail.timeline),
      timelineOmitted: detail.timelineOmitted,
      version: run.version,
    },
    timeline: {
      before: { problemClass, freshness },
      staleAt,
      after: rowVerdictAt({ ...run, incomplete: false }, addSeconds(staleAt ?? run.queuedAt, 1)),
      staleKind: run.staleKind,
      thresholdSeconds: run.thresholdSeconds,
      reconcileDueAt: run.reconcileDueAt,
      retryable: run.retryable,
      policyVersion: detail.policyVersion,
    },
  };
}
