import { fc } from '../support/properties';
import { classifiers } from '../../src/classifier/classifier';
import type { Classifier } from '../../src/classifier/classifier';
import { classifierV1 } from '../../src/classifier/classifier-v1';
import type { ClassifiedRun } from '../../src/classifier/classified-run';
import { parsePolicy } from '../../src/classifier/policy';
import type { VersionedPolicy } from '../../src/classifier/policy';
import type { LateReport, RunFacts } from '../../src/domain/run-facts';
import { addSeconds, instantOf, micros } from '../../src/events/instant';
import type { StaleEvidence } from '../../src/events/operation-run-events';
import { STALE_KINDS, TERMINAL_OUTCOMES } from '../../src/events/operation-run-events';

export const QUEUED_AT = '2026-03-01T08:00:00.000Z';

/** `at(90)` is 90 seconds after the queueing of every run here. */
export function at(seconds: number): string {
  return addSeconds(QUEUED_AT, seconds);
}

export function queuedRun(over: Partial<RunFacts> = {}): RunFacts {
  return {
    runId: 'run-1',
    workspaceId: 'w1',
    tenantId: 't1',
    type: 'sync',
    initiator: 'ann',
    origin: null,
    status: 'queued',
    outcome: 'pending',
    queuedAt: QUEUED_AT,
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
    timeline: [],
    timelineOmitted: 0,
    version: 1,
    ...over,
  };
}

export function runningRun(over: Partial<RunFacts> = {}): RunFacts {
  return queuedRun({ status: 'running', startedAt: at(10), version: 2, ...over });
}

export function completedRun(over: Partial<RunFacts> = {}): RunFacts {
  return runningRun({ status: 'completed', outcome: 'succeeded', completedAt: at(100), version: 3, ...over });
}

export function reconciledRun(evidence: Partial<StaleEvidence> = {}, over: Partial<RunFacts> = {}): RunFacts {
  const whole: StaleEvidence = {
    firstStaleAt: at(910),
    staleKind: 'stale_running',
    thresholdSeconds: 900,
    lastHeartbeatAt: null,
    priorStatus: 'running',
    reconciledAt: at(2000),
    reconciledBy: 'reconciler',
    reasonCode: 'stale_running',
    reason: `no heartbeat at all; stale since ${at(910)} by a limit of 900 s`,
    policyVersion: 1,
    ...evidence,
  };
  const { reasonCode, reason } = whole;
  return completedRun({
    outcome: 'failed',
    completedAt: whole.reconciledAt,
    reasonCode,
    reason,
    evidence: whole,
    ...over,
  });
}

export const lateSuccess: LateReport = {
  kind: 'completed',
  occurredAt: at(2500),
  outcome: 'succeeded',
  summaryCounts: { items: 3 },
  failureSummary: [],
};

export const builtIn: VersionedPolicy = { version: 1, policy: parsePolicy({}) };

export function classified(
  facts: RunFacts,
  policy = builtIn,
  incomplete = false,
  classify: Classifier = classifierV1,
): ClassifiedRun {
  return { facts, timeline: classify(facts, policy), incomplete, position: `7.${facts.version}` };
}

const epoch = micros(QUEUED_AT);
/** Instants within about an hour, down to the microsecond. */
export const anyInstant = fc
  .oneof(
    fc.integer({ min: 0, max: 4_000 }).map((seconds) => seconds * 1_000_000),
    fc.integer({ min: 0, max: 4_000_000_000 }),
  )
  .map((offset) => instantOf(epoch + offset));

const thresholds = fc.option(
  fc.oneof(fc.integer({ min: 1, max: 4000 }), fc.double({ min: 0.001, max: 4000, noNaN: true })),
);
const terminalClass = fc.constantFrom('none', 'terminal_follow_up');
const rule = fc.record(
  {
    queuedStaleAfterSeconds: thresholds,
    heartbeatEverySeconds: fc.integer({ min: 1, max: 600 }),
    runningStaleAfterSeconds: thresholds,
    stalledAfterHeartbeats: fc.option(fc.integer({ min: 1, max: 60 })),
    reconcileAfterSeconds: fc.integer({ min: 1, max: 4000 }),
    action: fc.constantFrom('none', 'fail'),
    retryable: fc.boolean(),
  },
  { requiredKeys: [] },
);
const classTable = fc.record(
  Object.fromEntries(TERMINAL_OUTCOMES.map((outcome) => [outcome, terminalClass])),
  { requiredKeys: [] },
);

export const anyPolicy: fc.Arbitrary<VersionedPolicy> = fc
  .record(
    {
      defaults: rule,
      types: fc.dictionary(fc.constantFrom('sync', 'backup'), rule),
      outcomeClasses: classTable,
      reasonCodes: fc.dictionary(fc.constantFrom('known', 'stale_running'), terminalClass),
    },
    { requiredKeys: [] },
  )
  .map((file) => ({ version: 4, policy: parsePolicy(file) }));

const anyEvidence: fc.Arbitrary<StaleEvidence> = fc.record({
  firstStaleAt: fc.option(anyInstant),
  staleKind: fc.constantFrom(...STALE_KINDS),
  thresholdSeconds: fc.constantFrom(0, 600, 900),
  lastHeartbeatAt: fc.option(anyInstant),
  priorStatus: fc.constantFrom('queued' as const, 'running' as const),
  reconciledAt: anyInstant,
  reconciledBy: fc.constantFrom('reconciler', 'ann'),
  reasonCode: fc.constantFrom('stale_queued', 'stale_running', 'marked_failed', 'reconciled_at_source'),
  reason: fc.constantFrom('worker host is gone', 'source gave it up.'),
  policyVersion: fc.constant(4),
});

const anyLateReport: fc.Arbitrary<LateReport> = fc.record({
  kind: fc.constantFrom('started' as const, 'progressed' as const, 'completed' as const),
  occurredAt: anyInstant,
  outcome: fc.option(fc.constantFrom(...TERMINAL_OUTCOMES)),
  summaryCounts: fc.option(fc.constant({ items: 3 })),
  failureSummary: fc.constant([]),
});

const anyIdentity = {
  type: fc.constantFrom('sync', 'backup', 'constructor'),
  origin: fc.constantFrom(null, 'import:trace'),
  queuedAt: anyInstant,
  lastHeartbeatAt: fc.option(anyInstant),
  resolution: fc.constantFrom('open' as const, 'investigated' as const),
  successorRunIds: fc.constantFrom([], ['run-2']),
};

/** Counts move with a heartbeat, so that no heartbeat is older than their last move. */
const anyProgress = fc
  .record({ moved: fc.option(anyInstant), later: fc.integer({ min: 0, max: 1800 }) })
  .map(({ moved, later }) =>
    moved === null
      ? {}
      : {
          progressMovedAt: moved,
          lastHeartbeatAt: addSeconds(moved, later),
          heartbeatsSinceProgress: later === 0 ? 0 : 1,
          summaryCounts: { items: 3 },
        },
  );

/** Facts of every status a log can leave a run in. */
export const anyFacts: fc.Arbitrary<RunFacts> = fc.oneof(
  fc.record(anyIdentity).map(queuedRun),
  fc
    .tuple(fc.record({ ...anyIdentity, startedAt: anyInstant }), anyProgress)
    .map(([identity, progress]) => runningRun({ ...identity, ...progress })),
  fc
    .record({
      ...anyIdentity,
      completedAt: anyInstant,
      outcome: fc.constantFrom(...TERMINAL_OUTCOMES),
      reasonCode: fc.constantFrom(null, 'known', 'unknown', 'toString'),
      reason: fc.constantFrom(null, '', 'disk full'),
      failureSummary: fc.array(
        fc.record({
          code: fc.constantFrom('timeout', 'auth'),
          message: fc.string(),
          count: fc.integer({ min: 1 }),
        }),
        {
          maxLength: 7,
        },
      ),
      evidence: fc.option(anyEvidence),
      lateReport: fc.option(anyLateReport),
    })
    .map(completedRun),
);

export const anyRun: fc.Arbitrary<ClassifiedRun> = fc
  .tuple(anyFacts, anyPolicy, fc.boolean(), fc.constantFrom(...classifiers.values()))
  .map((parts) => classified(...parts));
