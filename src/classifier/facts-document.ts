import { compactJson, restored } from './compact-json';
import type { Compact, Usual } from './compact-json';
import type { RunFacts, TimelineEntry } from '../domain/run-facts';

const USUAL_FACTS = {
  runId: undefined,
  workspaceId: undefined,
  tenantId: null,
  type: undefined,
  initiator: null,
  origin: null,
  status: undefined,
  outcome: undefined,
  queuedAt: undefined,
  startedAt: null,
  lastHeartbeatAt: null,
  completedAt: null,
  progressMovedAt: null,
  countsToldAt: null,
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
  timeline: undefined,
  timelineOmitted: 0,
  version: undefined,
} as const satisfies Usual<StoredFacts>;

/** A timeline entry without what goes without saying: no note, one event, at one instant. */
export type TimelineDocument = Pick<TimelineEntry, 'event' | 'at' | 'actor' | 'plane'> &
  Partial<Pick<TimelineEntry, 'note' | 'count' | 'lastAt'>>;

type StoredFacts = Omit<RunFacts, 'timeline'> & { readonly timeline: readonly TimelineDocument[] };

/** A run's facts as tables keep them, parsed from JSON. */
export type FactsDocument = Compact<StoredFacts, typeof USUAL_FACTS>;

/** The JSON of a run's facts. Members keep the order of the facts. */
export function factsJson(facts: RunFacts): string {
  return compactJson<StoredFacts>({ ...facts, timeline: timelineDocument(facts.timeline) }, USUAL_FACTS);
}

/** Members in the order in which `evolve` makes them, so that facts give the same JSON wherever they come from. */
export function factsOf(document: FactsDocument): RunFacts {
  const stored = restored<StoredFacts, typeof USUAL_FACTS>(document, USUAL_FACTS);
  return { ...stored, timeline: timelineOf(stored.timeline) };
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
  return timeline.map(({ event, at, actor, plane, note = null, count = 1, lastAt = at }) => ({
    event,
    at,
    actor,
    plane,
    note,
    count,
    lastAt,
  }));
}
