import type { Instant } from '../events/instant';
import { isLater, micros } from '../events/instant';
import type {
  Failure,
  Outcome,
  RecordedRunEvent,
  RunEvent,
  StaleEvidence,
  Status,
  SummaryCounts,
  TerminalOutcome,
} from '../events/operation-run-events';

export type Resolution = 'open' | 'investigated';

export interface LateReport {
  readonly kind: 'started' | 'progressed' | 'completed';
  readonly occurredAt: Instant;
  readonly outcome: TerminalOutcome | null;
  readonly summaryCounts: SummaryCounts | null;
  readonly failureSummary: readonly Failure[];
}

/** One line of a run's story. Heartbeats between two other events are one entry with their number. */
export interface TimelineEntry {
  readonly event: RunEvent['type'];
  readonly at: Instant;
  readonly actor: string;
  readonly plane: string;
  readonly note: string | null;
  /** Of heartbeats in a row: how many, and when the newest came. 1 and `at` for every other event. */
  readonly count: number;
  readonly lastAt: Instant;
}

/** What the log says of one run, and nothing else: no class, no threshold, no clock. Instants are canonical texts. */
export interface RunFacts {
  readonly runId: string;
  readonly workspaceId: string;
  readonly tenantId: string | null;
  readonly type: string;
  readonly initiator: string | null;
  readonly origin: string | null;
  readonly status: Status;
  readonly outcome: Outcome;
  readonly queuedAt: Instant;
  readonly startedAt: Instant | null;
  readonly lastHeartbeatAt: Instant | null;
  readonly completedAt: Instant | null;
  /** When the counts last moved (not merely beat), and the heartbeats since. */
  readonly progressMovedAt: Instant | null;
  /** Of the newest report that told counts, the same or others. */
  readonly countsToldAt: Instant | null;
  readonly heartbeatsSinceProgress: number;
  readonly summaryCounts: SummaryCounts | null;
  readonly failureSummary: readonly Failure[];
  readonly context: RunContext;
  readonly reasonCode: string | null;
  readonly reason: string | null;
  readonly evidence: StaleEvidence | null;
  readonly lateReport: LateReport | null;
  readonly resolution: Resolution;
  readonly predecessorRunId: string | null;
  readonly successorRunIds: readonly string[];
  readonly timeline: readonly TimelineEntry[];
  /** Entries left out of the middle of an overlong timeline. */
  readonly timelineOmitted: number;
  /** Events folded so far: the revision of the newest one plus 1. */
  readonly version: number;
}

export type RunContext = Readonly<Record<string, unknown>>;

/** The longest story kept per run, so that a run's facts stay bounded whatever its history. */
const TIMELINE_LIMIT = 100;

/** The revisions of a stream that operators have decided to leave out. */
export type DiscardedIn = (streamId: string) => ReadonlySet<number>;

/** An event that cannot follow the facts before it: a hole in the stream or a life-cycle event out of its order. */
export class FoldError extends Error {
  override readonly name = 'FoldError';
}

/** The state after `event`. Pure; throws FoldError when the event cannot follow `facts` (the decider never writes such). */
export function evolve(facts: RunFacts | null, event: RecordedRunEvent): RunFacts {
  const expected = facts?.version ?? 0;
  if (event.revision !== expected)
    throw new FoldError(`${event.streamId}: revision ${event.revision} arrived where ${expected} was due`);
  if (event.type === 'OperationRunQueued') {
    if (facts) throw new FoldError(`${event.streamId}: queued a second time at revision ${event.revision}`);
    return queued(event.streamId.slice(event.streamId.indexOf('-') + 1), event);
  }
  if (!facts) throw new FoldError(`${event.streamId}: ${event.type} before any OperationRunQueued`);
  return {
    ...facts,
    ...changesOf(facts, event),
    ...extendTimeline(facts, event),
    version: event.revision + 1,
  };
}

/**
 * The state after an event that operators have left out: it is counted and tells nothing. Throws FoldError like `evolve`; the
 * first event of a run cannot be stepped over, for without it there is no run.
 */
export function stepOver(
  facts: RunFacts | null,
  { streamId, revision }: { readonly streamId: string; readonly revision: number },
): RunFacts {
  if (!facts || facts.version !== revision)
    throw new FoldError(`${streamId}: revision ${revision} arrived where ${facts?.version ?? 0} was due`);
  return { ...facts, version: revision + 1 };
}

function queued(runId: string, event: Extract<RecordedRunEvent, { type: 'OperationRunQueued' }>): RunFacts {
  const { occurredAt, ...definition } = event.data;
  return {
    runId,
    workspaceId: definition.workspaceId,
    tenantId: definition.tenantId,
    type: definition.type,
    initiator: definition.initiator,
    origin: definition.origin,
    status: 'queued',
    outcome: 'pending',
    queuedAt: occurredAt,
    startedAt: null,
    lastHeartbeatAt: null,
    completedAt: null,
    progressMovedAt: null,
    countsToldAt: null,
    heartbeatsSinceProgress: 0,
    summaryCounts: definition.summaryCounts,
    failureSummary: [],
    context: definition.context,
    reasonCode: null,
    reason: null,
    evidence: null,
    lateReport: null,
    resolution: 'open',
    predecessorRunId: definition.predecessorRunId,
    successorRunIds: [],
    timeline: [entryOf(event)],
    timelineOmitted: 0,
    version: 1,
  };
}

/** Who looked into why a run was stuck has not seen how it ended (docs/adr/0024). */
const UNSEEN = { resolution: 'open' } as const;

function changesOf(facts: RunFacts, event: RecordedRunEvent): Partial<RunFacts> {
  switch (event.type) {
    case 'OperationRunQueued':
      return {};
    case 'OperationRunStarted':
      refuseIfCompleted(facts, event);
      return { status: 'running', startedAt: event.data.occurredAt };
    case 'OperationRunProgressed': {
      refuseIfCompleted(facts, event);
      const { occurredAt, summaryCounts } = event.data;
      const { progressMovedAt, countsToldAt } = facts;
      // Of a time before the counts came to what they are: it would take them back, and their instant with them.
      const since = summaryCounts === null ? progressMovedAt : countsToldAt;
      if (since !== null && isLater(since, occurredAt)) return {};
      const moved = summaryCounts !== null && !sameCounts(summaryCounts, facts.summaryCounts);
      return {
        lastHeartbeatAt: latest(facts.lastHeartbeatAt, occurredAt),
        ...(summaryCounts !== null && { countsToldAt: occurredAt }),
        ...(moved
          ? { summaryCounts, progressMovedAt: occurredAt, heartbeatsSinceProgress: 0 }
          : { heartbeatsSinceProgress: facts.heartbeatsSinceProgress + 1 }),
      };
    }
    case 'OperationRunCompleted':
      refuseIfCompleted(facts, event);
      return {
        status: 'completed',
        outcome: event.data.outcome,
        completedAt: event.data.occurredAt,
        summaryCounts: event.data.summaryCounts ?? facts.summaryCounts,
        failureSummary: event.data.failureSummary,
        reasonCode: event.data.reasonCode,
        reason: event.data.reason,
        ...UNSEEN,
      };
    case 'OperationRunReconciled':
      refuseIfCompleted(facts, event);
      return {
        status: 'completed',
        outcome: event.data.outcome,
        completedAt: event.data.occurredAt,
        reasonCode: event.data.evidence.reasonCode,
        reason: event.data.evidence.reason,
        evidence: event.data.evidence,
        ...UNSEEN,
      };
    case 'OperationRunLateReportRecorded':
      return {
        lateReport: weightier(facts.lateReport, { ...event.data.report, occurredAt: event.data.occurredAt }),
      };
    case 'OperationRunFollowUpResolved':
      return { resolution: 'investigated' };
    case 'OperationRunFollowUpReopened':
      return { resolution: 'open' };
    case 'OperationRunRetried':
      return { successorRunIds: [...facts.successorRunIds, event.data.successorRunId] };
  }
}

function refuseIfCompleted(facts: RunFacts, event: RecordedRunEvent): void {
  if (facts.status === 'completed')
    throw new FoldError(`${event.streamId}: ${event.type} at revision ${event.revision} of a completed run`);
}

const WEIGHT = { started: 0, progressed: 1, completed: 2 } as const;

/** Reports arrive late but also out of order: what says less never replaces what said more, nor a second end the first. */
function weightier(before: LateReport | null, report: LateReport): LateReport {
  if (before === null) return report;
  const keeps = before.kind === 'completed' || WEIGHT[report.kind] < WEIGHT[before.kind];
  return keeps ? before : report;
}

function latest(before: Instant | null, instant: Instant): Instant {
  return before !== null && micros(before) > micros(instant) ? before : instant;
}

function sameCounts(a: SummaryCounts, b: SummaryCounts | null): boolean {
  if (b === null) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}

function extendTimeline(
  facts: RunFacts,
  event: RecordedRunEvent,
): Pick<RunFacts, 'timeline' | 'timelineOmitted'> {
  const { timeline, timelineOmitted } = facts;
  const last = timeline.at(-1);
  if (event.type === 'OperationRunProgressed' && last?.event === event.type) {
    const merged = { ...last, count: last.count + 1, lastAt: latest(last.lastAt, event.data.occurredAt) };
    return { timeline: timeline.with(-1, merged), timelineOmitted };
  }
  const entry = entryOf(event);
  if (timeline.length < TIMELINE_LIMIT) return { timeline: [...timeline, entry], timelineOmitted };
  // The beginning tells what the run was, the end what is happening; the middle goes.
  const head = timeline.slice(0, TIMELINE_LIMIT / 2);
  const tail = timeline.slice(TIMELINE_LIMIT / 2 + 1);
  return { timeline: [...head, ...tail, entry], timelineOmitted: timelineOmitted + 1 };
}

function entryOf(event: RecordedRunEvent): TimelineEntry {
  const at = event.data.occurredAt;
  const { actor, plane } = event.metadata;
  return { event: event.type, at, actor, plane, note: noteOf(event), count: 1, lastAt: at };
}

function noteOf(event: RecordedRunEvent): string | null {
  switch (event.type) {
    case 'OperationRunCompleted':
      return event.data.reason ?? event.data.outcome;
    case 'OperationRunReconciled':
      return event.data.evidence.reason;
    case 'OperationRunLateReportRecorded':
      return event.data.report.outcome ?? event.data.report.kind;
    case 'OperationRunFollowUpResolved':
    case 'OperationRunFollowUpReopened':
      return event.data.note;
    case 'OperationRunRetried':
      return event.data.reason;
    case 'OperationRunQueued':
    case 'OperationRunStarted':
    case 'OperationRunProgressed':
      return null;
  }
}
