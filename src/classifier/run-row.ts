import { z } from 'zod';
import { compactJson, restored } from './compact-json';
import type { Compact, Usual } from './compact-json';
import { FRESHNESSES, PROBLEM_CLASSES } from '../domain/classification';
import type { Verdict } from '../domain/classification';
import type { Instant } from '../events/instant';
import { failureSchema, OUTCOMES, STALE_KINDS, STATUSES } from '../events/operation-run-events';
import type { Failure, SummaryCounts } from '../events/operation-run-events';
import { rowTimeline, rowVerdictAt } from './classified-run';
import type { ClassifiedRun } from './classified-run';
import { stalledSince } from './classifier-instants';
import { lineageOf, lineageSchema, orderedEvidence, orderedReport, sortedCounts } from './lineage';
import type { StoredReport } from './lineage';
import { present, SEVERITIES } from './presenter';
import type { Subject } from './subject';

/**
 * A run as `run_facts` keeps it in its column `run` (see `storedRunJson`): all that its response row and words are made of.
 * Its verdict is the one up to and including `staleAt`; `rowVerdictAt` tells the one at any instant.
 */
export interface StoredRun extends Subject {
  readonly runId: string;
  readonly workspaceId: string;
  readonly tenantId: string | null;
  readonly initiator: string | null;
  readonly summaryCounts: SummaryCounts | null;
  readonly failures: Pick<Failure, 'code' | 'count'>[];
  readonly lateReport: StoredReport | null;
  readonly predecessorRunId: string | null;
  readonly version: number;
}

/** Enough failures to tell runs in a list apart; the detail page shows them all. */
const FAILURES_KEPT = 5;
const MESSAGE_LENGTH = 200;

/**
 * The payload of a run's list rows. Keys are written in one fixed order, whatever order the run's events came in from the
 * log or its facts from a table: a replay is compared with the live rows as text.
 */
export function storedRun(run: ClassifiedRun): StoredRun {
  const { facts, timeline } = run;
  const { problemClass, freshness, staleAt } = rowTimeline(run);
  return {
    runId: facts.runId,
    workspaceId: facts.workspaceId,
    tenantId: facts.tenantId,
    type: facts.type,
    status: facts.status,
    outcome: facts.outcome,
    problemClass,
    freshness,
    staleAt,
    staleKind: timeline.staleKind,
    thresholdSeconds: timeline.thresholdSeconds,
    stalledSince: stalledSince(facts, timeline) ?? undefined,
    reconcileDueAt: timeline.reconcileDueAt,
    retryable: timeline.retryable,
    resolution: facts.resolution,
    queuedAt: facts.queuedAt,
    startedAt: facts.startedAt,
    lastHeartbeatAt: facts.lastHeartbeatAt,
    completedAt: facts.completedAt,
    initiator: facts.initiator,
    origin: facts.origin,
    summaryCounts: sortedCounts(facts.summaryCounts),
    reasonCode: facts.reasonCode,
    // Evidence carries its own reason; the row need not hold it twice.
    reason: facts.evidence ? null : facts.reason,
    failures: facts.failureSummary.slice(0, FAILURES_KEPT).map(({ code, count }) => ({ code, count })),
    failureKinds: facts.failureSummary.length,
    failureMessage: excerpt(facts.failureSummary[0]?.message),
    evidence: facts.evidence && orderedEvidence(facts.evidence),
    lateReport: facts.lateReport && orderedReport(facts.lateReport),
    predecessorRunId: facts.predecessorRunId,
    successorRunId: facts.successorRunIds.at(-1) ?? null,
    version: facts.version,
    incomplete: run.incomplete,
  };
}

function excerpt(message: string | undefined): string | null {
  if (message === undefined || message.length <= MESSAGE_LENGTH) return message ?? null;
  // Half a surrogate pair at the cut would be a text that PostgreSQL refuses.
  return `${message.slice(0, MESSAGE_LENGTH).replace(/[\ud800-\udbff]$/, '')}…`;
}

/** What most runs in a list have; their documents leave it out. */
const USUAL_RUN = {
  runId: undefined,
  workspaceId: undefined,
  tenantId: null,
  type: undefined,
  status: undefined,
  outcome: undefined,
  problemClass: 'none',
  freshness: undefined,
  staleAt: null,
  staleKind: null,
  thresholdSeconds: null,
  stalledSince: undefined,
  reconcileDueAt: null,
  retryable: true,
  resolution: 'open',
  queuedAt: undefined,
  startedAt: null,
  lastHeartbeatAt: null,
  completedAt: null,
  initiator: null,
  origin: null,
  summaryCounts: null,
  reasonCode: null,
  reason: null,
  failures: [],
  failureKinds: 0,
  failureMessage: null,
  evidence: null,
  lateReport: null,
  predecessorRunId: null,
  successorRunId: null,
  version: undefined,
  incomplete: false,
} as const satisfies Usual<StoredRun>;

/** A stored run as its row's JSON has it. */
export type RunDocument = Compact<StoredRun, typeof USUAL_RUN>;

export function storedRunOf(document: RunDocument): StoredRun {
  return restored<StoredRun, typeof USUAL_RUN>(document, USUAL_RUN);
}

/** The JSON of `storedRun`. */
export function storedRunJson(run: ClassifiedRun): string {
  return compactJson(storedRun(run), USUAL_RUN);
}

/** One run in any list of any plane. */
export const runRowSchema = z.object({
  runId: z.string(),
  workspaceId: z.string(),
  tenantId: z.string().nullable(),
  type: z.string(),
  status: z.enum(STATUSES),
  outcome: z.enum(OUTCOMES),
  freshness: z.enum(FRESHNESSES),
  problemClass: z.enum(PROBLEM_CLASSES),
  resolution: z.enum(['open', 'investigated']),
  severity: z.enum(SEVERITIES),
  label: z.string(),
  why: z.string(),
  guidance: z.string(),
  queuedAt: z.string(),
  startedAt: z.string().nullable(),
  lastHeartbeatAt: z.string().nullable(),
  completedAt: z.string().nullable(),
  /** Strictly later than this the run is stuck, if nothing more is heard of it. Null: it cannot become so. */
  staleAt: z.string().nullable(),
  staleKind: z.enum(STALE_KINDS).nullable(),
  thresholdSeconds: z.number().nullable(),
  reconcileDueAt: z.string().nullable(),
  initiator: z.string().nullable(),
  /** `import:<dataset>` of an imported run, null of a live one. */
  origin: z.string().nullable(),
  summaryCounts: z.record(z.string(), z.number()).nullable(),
  reasonCode: z.string().nullable(),
  failures: z.array(failureSchema.pick({ code: true, count: true })),
  lineage: lineageSchema.nullable(),
  predecessorRunId: z.string().nullable(),
  /** The newest retry of this run. */
  successorRunId: z.string().nullable(),
  retryable: z.boolean(),
  /** Events of the run that this row knows of. */
  version: z.number().int(),
  /** `incomplete`: a later event of the run is parked, so the row is behind the log. */
  projection: z.enum(['complete', 'incomplete']),
  href: z.string(),
});
export type RunRow = z.infer<typeof runRowSchema>;

/** The subject of the presenter: a stored run under its verdict at `asOf`. */
export function subjectOf(stored: StoredRun, asOf: Instant): Subject {
  const verdict: Verdict = rowVerdictAt(stored, asOf);
  return { ...stored, ...verdict };
}

/** The response row of a stored run at `asOf`. `href` leads to its detail in the reader's plane. */
export function presentRun(stored: StoredRun, asOf: Instant, href: string): RunRow {
  const subject = subjectOf(stored, asOf);
  const words = present(subject);
  return {
    runId: stored.runId,
    workspaceId: stored.workspaceId,
    tenantId: stored.tenantId,
    type: stored.type,
    status: stored.status,
    outcome: stored.outcome,
    freshness: subject.freshness,
    problemClass: subject.problemClass,
    resolution: stored.resolution,
    severity: words.severity,
    label: words.label,
    why: words.why,
    guidance: words.guidance,
    queuedAt: stored.queuedAt,
    startedAt: stored.startedAt,
    lastHeartbeatAt: stored.lastHeartbeatAt,
    completedAt: stored.completedAt,
    staleAt: stored.staleAt,
    staleKind: stored.staleKind,
    thresholdSeconds: stored.thresholdSeconds,
    reconcileDueAt: stored.reconcileDueAt,
    initiator: stored.initiator,
    origin: stored.origin,
    summaryCounts: stored.summaryCounts,
    reasonCode: stored.reasonCode,
    failures: stored.failures,
    lineage: lineageOf(stored),
    predecessorRunId: stored.predecessorRunId,
    successorRunId: stored.successorRunId,
    retryable: stored.retryable,
    version: stored.version,
    projection: stored.incomplete ? 'incomplete' : 'complete',
    href,
  };
}
