import { judgeWith } from '../../src/classifier/classifier';
import { parsePolicy } from '../../src/classifier/policy';
import { decide } from '../../src/domain/decider';
import type { Decision, RunCommand } from '../../src/domain/decider';
import { evolve } from '../../src/domain/run-facts';
import type { RunFacts } from '../../src/domain/run-facts';
import { addSeconds } from '../../src/events/instant';
import type { Instant } from '../../src/events/instant';
import { streamOf } from '../../src/events/operation-run-events';
import type { RecordedRunEvent, RunEvent } from '../../src/events/operation-run-events';
import { parseEvent } from '../../src/events/parse-event';

export const T0: Instant = '2026-01-01T00:00:00.000Z';
/** The instant so many seconds after `T0`. */
export const at = (seconds: number): Instant => addSeconds(T0, seconds);

/** Queued runs go stale after 600 s, running ones after 900 s; both are due after 1800 s. Imports cannot be retried. */
export const judge = judgeWith(1, {
  version: 7,
  policy: parsePolicy({
    defaults: { queuedStaleAfterSeconds: 600, runningStaleAfterSeconds: 900, reconcileAfterSeconds: 1800 },
    types: { import: { retryable: false }, restore: { action: 'none' } },
  }),
});

export const metadata = {
  actor: 'worker-1',
  plane: 'admin',
  commandId: 'c',
  correlationId: 'c',
  causationId: 'c',
} as const;

/** The nth event of run `r1`, as it comes back out of a log. */
export function recorded(event: RunEvent, revision: number): RecordedRunEvent {
  const position = { commit: BigInt(revision + 1), prepare: 0n };
  const data = JSON.parse(JSON.stringify(event.data)) as unknown;
  const streamId = streamOf('r1');
  const eventId = `e${revision}`;
  return parseEvent({
    streamId,
    revision,
    position,
    eventId,
    type: event.type,
    data,
    metadata,
    recordedAt: T0,
  });
}

export const commands = {
  queue: (seconds = 0, type = 'sync'): RunCommand => ({
    kind: 'queue',
    at: at(seconds),
    workspaceId: 'w1',
    tenantId: 't1',
    type,
    initiator: 'ada',
    context: { from: 'cron' },
    summaryCounts: null,
    predecessorRunId: null,
    origin: null,
  }),
  start: (seconds: number): RunCommand => ({ kind: 'start', at: at(seconds) }),
  progress: (seconds: number, summaryCounts: Record<string, number> | null = null): RunCommand => ({
    kind: 'progress',
    at: at(seconds),
    summaryCounts,
  }),
  complete: (
    seconds: number,
    outcome: Extract<RunCommand, { kind: 'complete' }>['outcome'] = 'succeeded',
  ): RunCommand => ({
    kind: 'complete',
    at: at(seconds),
    outcome,
    summaryCounts: { items: 3 },
    failureSummary: [],
    reasonCode: null,
    reason: null,
  }),
  cancel: (seconds: number): RunCommand => ({ kind: 'cancel', at: at(seconds), reason: 'not needed' }),
  reconcile: (seconds: number): RunCommand => ({ kind: 'reconcile', at: at(seconds), by: 'reconciler' }),
  recordReconciliation: (seconds: number): RunCommand => ({
    kind: 'record-reconciliation',
    at: at(seconds),
    by: 'trace',
    outcome: 'failed',
    reason: 'the scheduler lost it',
  }),
  markFailed: (seconds: number, reason: string | null = 'the host is gone'): RunCommand => ({
    kind: 'mark-failed',
    at: at(seconds),
    by: 'olga',
    reason,
  }),
  resolve: (seconds: number): RunCommand => ({ kind: 'resolve', at: at(seconds), note: 'seen' }),
  reopen: (seconds: number): RunCommand => ({ kind: 'reopen', at: at(seconds), note: null }),
  retry: (
    seconds: number,
    reason: string | null = 'try again',
    activeSuccessorRunId: string | null = null,
  ): RunCommand => ({ kind: 'retry', at: at(seconds), successorRunId: 'r2', reason, activeSuccessorRunId }),
};

/** The facts after commands that must all be accepted. */
export function given(...history: readonly RunCommand[]): RunFacts | null {
  let facts: RunFacts | null = null;
  for (const command of history) {
    const decision = decide(facts, command, judge);
    if (!decision.accepted) throw new Error(`given ${command.kind}: ${decision.rejection.message}`);
    for (const event of decision.events) facts = evolve(facts, recorded(event, facts?.version ?? 0));
  }
  return facts;
}

/** A decision in one word: the event's type, `unchanged`, or the code of the refusal. */
export function said(decision: Decision): string {
  if (!decision.accepted) return decision.rejection.code;
  return decision.events.map(({ type }) => type.replace('OperationRun', '')).join(', ') || 'unchanged';
}
