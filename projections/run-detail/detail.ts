import { rowVerdictAt } from '../../src/classifier/classified-run';
import type { ClassifiedRun } from '../../src/classifier/classified-run';
import type { StoredRun } from '../../src/classifier/run-row';
import { compactJson, restored } from '../../src/classifier/compact-json';
import type { Compact } from '../../src/classifier/compact-json';
import { timelineDocument, timelineOf } from '../../src/classifier/facts-document';
import type { TimelineDocument } from '../../src/classifier/facts-document';
import type { RunFacts } from '../../src/domain/run-facts';
import { addSeconds } from '../../src/events/instant';

/** What a run's own page tells beyond its row in a list. Kept beside that row, and only once per run. */
export interface Detail extends Pick<
  RunFacts,
  | 'reason'
  | 'context'
  | 'failureSummary'
  | 'timeline'
  | 'timelineOmitted'
  | 'progressMovedAt'
  | 'heartbeatsSinceProgress'
  | 'successorRunIds'
> {
  readonly policyVersion: number;
  readonly position: string;
}

function detailOf({ facts, timeline, position }: ClassifiedRun): Detail {
  return {
    reason: facts.reason,
    context: facts.context,
    failureSummary: facts.failureSummary,
    timeline: facts.timeline,
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
  timelineOmitted: 0,
  progressMovedAt: null,
  heartbeatsSinceProgress: 0,
  successorRunIds: [],
} as const satisfies Partial<Detail>;

/** A detail as its row's JSON has it. */
export type DetailDocument = Compact<Omit<Detail, 'timeline'>, typeof USUAL_DETAIL> & {
  readonly timeline: readonly TimelineDocument[];
};

export function detailJson(run: ClassifiedRun): string {
  const detail = detailOf(run);
  return compactJson({ ...detail, timeline: timelineDocument(detail.timeline) }, USUAL_DETAIL);
}

function restoredDetail({ timeline, ...rest }: DetailDocument): Detail {
  return {
    ...restored<Omit<Detail, 'timeline'>, typeof USUAL_DETAIL>(rest, USUAL_DETAIL),
    timeline: timelineOf(timeline),
  };
}

/** The classified run that row and detail were made of: what the presenter and the decider ask for. */
export function classifiedOf(run: StoredRun, document: DetailDocument): ClassifiedRun {
  const { problemClass, freshness, staleAt } = run;
  const { policyVersion, position, ...rest } = restoredDetail(document);
  return {
    position,
    incomplete: run.incomplete,
    facts: {
      ...rest,
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
      summaryCounts: run.summaryCounts,
      reasonCode: run.reasonCode,
      evidence: run.evidence,
      lateReport: run.lateReport,
      resolution: run.resolution,
      predecessorRunId: run.predecessorRunId,
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
      policyVersion,
    },
  };
}
