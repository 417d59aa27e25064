import { compactJson } from './compact-json';
import type { Compact } from './compact-json';
import type { RunFacts, TimelineEntry } from '../domain/run-facts';

const USUAL_FACTS = {
  tenantId: null,
  initiator: null,
  origin: null,
  startedAt: null,
  lastHeartbeatAt: null,
  completedAt: null,
  progressMovedAt: null,
  heartbeatsSinceProgress: 0,
  summaryCounts: null,
  failureSummary: [],
  context: {},
  reasonCode: null,
  reason: null,
  evidence: null,
  lateReport: null,
  resolution: 'open',
  predecessorRunId: null,
  successorRunIds: [],
  timelineOmitted: 0,
} as const satisfies Partial<RunFacts>;

/** A timeline entry without what goes without saying: no note, one event, at one instant. */
export type TimelineDocument = Pick<TimelineEntry, 'event' | 'at' | 'actor' | 'plane'> &
  Partial<Pick<TimelineEntry, 'note' | 'count' | 'lastAt'>>;

/** A run's facts as tables keep them, parsed from JSON. */
export type FactsDocument = Compact<Omit<RunFacts, 'timeline'>, typeof USUAL_FACTS> & {
  readonly timeline: readonly TimelineDocument[];
};

/** The JSON of a run's facts. Members keep the order of the facts. */
export function factsJson(facts: RunFacts): string {
  return compactJson({ ...facts, timeline: timelineDocument(facts.timeline) }, USUAL_FACTS);
}

/** Members in the order in which `evolve` makes them, so that facts give the same JSON wherever they come from. */
export function factsOf(document: FactsDocument): RunFacts {
  const facts = { ...USUAL_FACTS, ...document };
  return {
    runId: facts.runId,
    workspaceId: facts.workspaceId,
    tenantId: facts.tenantId,
    type: facts.type,
    initiator: facts.initiator,
    origin: facts.origin,
    status: facts.status,
    outcome: facts.outcome,
    queuedAt: facts.queuedAt,
    startedAt: facts.startedAt,
    lastHeartbeatAt: facts.lastHeartbeatAt,
    completedAt: facts.completedAt,
    progressMovedAt: facts.progressMovedAt,
    heartbeatsSinceProgress: facts.heartbeatsSinceProgress,
    summaryCounts: facts.summaryCounts,
    failureSummary: facts.failureSummary,
    context: facts.context,
    reasonCode: facts.reasonCode,
    reason: facts.reason,
    evidence: facts.evidence,
    lateReport: facts.lateReport,
    resolution: facts.resolution,
    predecessorRunId: facts.predecessorRunId,
    successorRunIds: facts.successorRunIds,
    timeline: timelineOf(facts.timeline),
    timelineOmitted: facts.timelineOmitted,
    version: facts.version,
  };
}

export function timelineDocument(timeline: readonly TimelineEntry[]): TimelineDocument[] {
  return timeline.map(({ event, at, actor, plane, note, count, lastAt }) => ({
    event,
    at,
    actor,
    plane,
    ...(note !== null && { note }),
    ...(count !== 1 && { count }),
    ...(lastAt !== at && { lastAt }),
  }));
}

export function timelineOf(timeline: readonly TimelineDocument[]): TimelineEntry[] {
  return timeline.map((entry) => ({ note: null, count: 1, lastAt: entry.at, ...entry }));
}
