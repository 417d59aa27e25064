import { z } from 'zod';
import { storableText, UNSTORABLE_WORDS } from './storable-json';
import { ACCEPTED_INSTANT, acceptedInstant, isInstant } from './instant';
import type { Position } from './position';

/** The life cycle's words. Every schema, column and filter takes them from here. */
export const STATUSES = ['queued', 'running', 'completed'] as const;
export const TERMINAL_OUTCOMES = [
  'succeeded',
  'partially_succeeded',
  'failed',
  'blocked',
  'cancelled',
] as const;
export const OUTCOMES = ['pending', ...TERMINAL_OUTCOMES] as const;
export const STALE_KINDS = ['stale_queued', 'stale_running'] as const;
export const PLANES = ['admin', 'system'] as const;

export type Status = (typeof STATUSES)[number];
export type TerminalOutcome = (typeof TERMINAL_OUTCOMES)[number];
export type Outcome = (typeof OUTCOMES)[number];
export type StaleKind = (typeof STALE_KINDS)[number];

export const instantSchema = z
  .string()
  .meta({ format: 'date-time', description: `Must be ${ACCEPTED_INSTANT}.` })
  .transform((text, context) => {
    const instant = acceptedInstant(text);
    if (instant !== null) return instant;
    context.addIssue(`must be ${ACCEPTED_INSTANT}`);
    return z.NEVER;
  });

const MAX_ID_LENGTH = 200;
// oxlint-disable-next-line no-control-regex
const NO_CONTROLS = /^[^\u0000-\u001f\u007f]*$/;

/**
 * An id of an event that lies in the log already, whoever wrote it: as long as fits into an index, and one text for tables and
 * for cells of counts. Of an event with any other no row can be made.
 */
const storedId = z
  .string()
  .max(MAX_ID_LENGTH)
  .regex(NO_CONTROLS, 'must not contain control characters')
  .refine((text) => !/\p{Cs}/u.test(text), 'must not contain half a surrogate pair');

/**
 * Ids come from other systems (hashes with `/` and `=` among them); refused are control characters, half characters, sheer
 * length, and what could not be told or linked to: blanks alone, and the dots that every client takes out of a path.
 */
export const idSchema = storedId.min(1).regex(/^(?!\.{1,2}$)(?!\s+$)/, 'must not be blank, "." or ".."');

/** Streams of others may lie in the log, under longer and odder names. */
export const streamIdSchema = z
  .string()
  .min(1)
  .max(1_000)
  .refine((text) => storableText(text) === text, `must not contain ${UNSTORABLE_WORDS}`);

export const summaryCountsSchema = z
  .record(z.string().min(1).max(64), z.number().finite())
  .refine((counts) => Object.keys(counts).length <= 50, 'at most 50 counts');

export const failureSchema = z.object({
  code: z.string().min(1).max(100),
  message: z.string().max(1000),
  count: z.number().int().min(1),
});
export const failureSummarySchema = z.array(failureSchema).max(20);

export type SummaryCounts = z.infer<typeof summaryCountsSchema>;
export type Failure = z.infer<typeof failureSchema>;

/** Of an event that tells no time no run can be made: its stream is parked, and no command is decided on it. */
const occurredAt = z.string().refine(isInstant, 'must be an ISO 8601 instant with a zone');

/** Why and how a run came to be failed without its worker's word. Append-only: nothing later changes these fields. */
export const staleEvidenceSchema = z.object({
  firstStaleAt: z.string().nullable(),
  staleKind: z.enum(STALE_KINDS),
  thresholdSeconds: z.number(),
  lastHeartbeatAt: z.string().nullable(),
  priorStatus: z.enum(['queued', 'running']),
  reconciledAt: z.string(),
  reconciledBy: z.string(),
  reasonCode: z.string(),
  reason: z.string(),
  policyVersion: z.number().int(),
});
export type StaleEvidence = z.infer<typeof staleEvidenceSchema>;

export const lateReportSchema = z.object({
  kind: z.enum(['started', 'progressed', 'completed']),
  outcome: z.enum(TERMINAL_OUTCOMES).nullable(),
  summaryCounts: summaryCountsSchema.nullable(),
  failureSummary: failureSummarySchema,
});

/**
 * One schema per event, the payload's newest shape. `occurredAt` is the source's time in canonical form.
 * Payloads of an older shape are lifted by `upcast` before they are parsed.
 */
export const runEventSchemas = {
  OperationRunQueued: z.object({
    occurredAt,
    workspaceId: storedId,
    tenantId: storedId.nullable(),
    type: storedId,
    initiator: storedId.nullable(),
    context: z.record(z.string(), z.json()),
    summaryCounts: summaryCountsSchema.nullable(),
    predecessorRunId: z.string().nullable(),
    /** Where the run's history comes from: null for live commands, `import:<dataset>` for an imported trace. */
    origin: z.string().nullable(),
  }),
  OperationRunStarted: z.object({ occurredAt }),
  OperationRunProgressed: z.object({ occurredAt, summaryCounts: summaryCountsSchema.nullable() }),
  OperationRunCompleted: z.object({
    occurredAt,
    outcome: z.enum(TERMINAL_OUTCOMES),
    summaryCounts: summaryCountsSchema.nullable(),
    failureSummary: failureSummarySchema,
    reasonCode: z.string().nullable(),
    reason: z.string().nullable(),
  }),
  OperationRunReconciled: z.object({
    occurredAt,
    outcome: z.enum(TERMINAL_OUTCOMES),
    evidence: staleEvidenceSchema,
  }),
  OperationRunLateReportRecorded: z.object({ occurredAt, report: lateReportSchema }),
  OperationRunFollowUpResolved: z.object({ occurredAt, note: z.string().nullable() }),
  OperationRunFollowUpReopened: z.object({ occurredAt, note: z.string().nullable() }),
  OperationRunRetried: z.object({ occurredAt, successorRunId: z.string(), reason: z.string().nullable() }),
} as const;

export type RunEventType = keyof typeof runEventSchemas;
export const RUN_EVENT_TYPES = Object.keys(runEventSchemas) as RunEventType[];

export type RunEventData<T extends RunEventType> = z.infer<(typeof runEventSchemas)[T]>;
export type RunEvent = { [T in RunEventType]: { type: T; data: RunEventData<T> } }[RunEventType];

/** Who caused an event, from where, and by which command. `plane` is `worker` for the system's own roles. */
export const eventMetadataSchema = z.object({
  actor: z.string(),
  plane: z.enum([...PLANES, 'worker']),
  commandId: z.string(),
  correlationId: z.string(),
  causationId: z.string(),
});
export type EventMetadata = z.infer<typeof eventMetadataSchema>;

/** An event ready to be appended. The id is a function of its command's id, so that a retry writes the same event. */
export interface NewEvent {
  readonly eventId: string;
  readonly type: string;
  readonly data: unknown;
  readonly metadata: EventMetadata;
}

/** An event as the log holds it, payload not yet trusted. Revisions count from 0 in each stream. */
export interface StoredEvent extends Omit<NewEvent, 'metadata'> {
  readonly streamId: string;
  readonly revision: number;
  readonly position: Position;
  readonly metadata: unknown;
  readonly recordedAt: string;
}

/** An event's place in the log. */
export interface Recording {
  readonly eventId: string;
  readonly streamId: string;
  readonly revision: number;
  readonly position: Position;
  readonly metadata: EventMetadata;
}

/** A stored event whose payload and metadata have been lifted and parsed. */
export type RecordedRunEvent = RunEvent & Recording;

/** The event at its place. One literal makes all of them: folding objects of one shape takes a third of the time. */
export function recordedAt(
  { type, data }: RunEvent,
  { eventId, streamId, revision, position, metadata }: Recording,
): RecordedRunEvent {
  // The pair of `type` and `data` stays the one it was.
  return { type, data, eventId, streamId, revision, position, metadata } as RecordedRunEvent;
}

const STREAM_PREFIX = 'operation_run-';

export function streamOf(runId: string): string {
  return STREAM_PREFIX + runId;
}

export function runIdOf(streamId: string): string {
  return streamId.slice(STREAM_PREFIX.length);
}

/** What stores deliver: streams that are named as those of runs are, whatever follows. */
export function hasRunPrefix(streamId: string): boolean {
  return streamId.startsWith(STREAM_PREFIX) && !streamId.includes('\u0000');
}

/** A run without an id is none, nor is one whose id no table can keep: such a stream is parked. */
export function isRunStream(streamId: string): boolean {
  const { length } = STREAM_PREFIX;
  return (
    streamId.startsWith(STREAM_PREFIX) &&
    streamId.length > length &&
    streamId.length <= length + MAX_ID_LENGTH &&
    NO_CONTROLS.test(streamId)
  );
}
