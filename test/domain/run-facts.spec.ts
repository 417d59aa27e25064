import { fc, TIMES } from '../support/properties';
import { decide } from '../../src/domain/decider';
import type { RunCommand } from '../../src/domain/decider';
import { FoldError, evolve } from '../../src/domain/run-facts';
import type { RunFacts } from '../../src/domain/run-facts';
import { micros } from '../../src/events/instant';
import { TERMINAL_OUTCOMES } from '../../src/events/operation-run-events';
import type { RecordedRunEvent, RunEvent } from '../../src/events/operation-run-events';
import { at, commands as c, given, judge, recorded } from './story';

const started: RunEvent = { type: 'OperationRunStarted', data: { occurredAt: at(1) } };

describe('the fold refuses', () => {
  const queuedEvent = () => {
    const decision = decide(null, c.queue(), judge);
    if (!decision.accepted) throw new Error('queue was refused');
    return decision.events[0]!;
  };

  it('a stream that does not begin with its queueing', () => {
    expect(() => evolve(null, recorded(started, 0))).toThrow(FoldError);
  });

  it('a hole in the stream', () => {
    expect(() => evolve(given(c.queue()), recorded(started, 2))).toThrow(
      'revision 2 arrived where 1 was due',
    );
  });

  it('an event it has already folded', () => {
    expect(() => evolve(given(c.queue(), c.start(1)), recorded(started, 1))).toThrow(FoldError);
  });

  it('a second queueing', () => {
    expect(() => evolve(given(c.queue()), recorded(queuedEvent(), 1))).toThrow('queued a second time');
  });

  it.each<RunEvent>([
    started,
    { type: 'OperationRunProgressed', data: { occurredAt: at(3), summaryCounts: null } },
    {
      type: 'OperationRunCompleted',
      data: {
        occurredAt: at(3),
        outcome: 'succeeded',
        summaryCounts: null,
        failureSummary: [],
        reasonCode: null,
        reason: null,
      },
    },
  ])('$type of a completed run', (event) => {
    const facts = given(c.queue(), c.complete(2, 'failed'));
    expect(() => evolve(facts, recorded(event, 2))).toThrow('of a completed run');
  });
});

it.each([
  ['completed', c.complete(30, 'failed')],
  ['reconciled', c.reconcile(5_000)],
])('that somebody had looked into a stuck run hid how it %s', (_how, end) => {
  const stuck = given(c.queue(), c.resolve(2_000));
  expect(stuck?.resolution).toBe('investigated');
  expect(given(c.queue(), c.resolve(2_000), end)).toMatchObject({ status: 'completed', resolution: 'open' });
});

it('a completion that tells no counts leaves those that were told', () => {
  const completion = { ...c.complete(2), summaryCounts: null } as RunCommand;
  expect(given(c.queue(), c.progress(1, { n: 4 }), completion)?.summaryCounts).toEqual({ n: 4 });
});

describe('heartbeats', () => {
  it('with unchanged counts are counted, and new counts start the count again', () => {
    const facts = given(c.queue(), c.progress(1, { n: 1 }), c.progress(2, { n: 1 }), c.progress(3));
    expect(facts).toMatchObject({
      lastHeartbeatAt: at(3),
      progressMovedAt: at(1),
      heartbeatsSinceProgress: 2,
    });
    expect(facts?.timeline).toMatchObject([
      { event: 'OperationRunQueued', count: 1 },
      { event: 'OperationRunProgressed', count: 3, at: at(1), lastAt: at(3) },
    ]);
  });

  it('that arrive out of order never move the last one back', () => {
    expect(given(c.queue(), c.progress(50), c.progress(20))?.lastHeartbeatAt).toBe(at(50));
  });

  it('that arrived late took the counts back, and the instant from which they stand still', () => {
    const facts = given(
      c.queue(),
      c.progress(10, { n: 1 }),
      c.progress(50, { n: 5 }),
      c.progress(60),
      c.progress(20, { n: 2 }),
      c.progress(30),
    );
    expect(facts).toMatchObject({
      summaryCounts: { n: 5 },
      progressMovedAt: at(50),
      lastHeartbeatAt: at(60),
      heartbeatsSinceProgress: 1,
    });
    expect(facts?.timeline.at(-1)).toMatchObject({ count: 5, lastAt: at(60) });
  });

  it('that arrived late took back counts that a newer one had told once more', () => {
    const facts = given(
      c.queue(),
      c.progress(10, { n: 5 }),
      c.progress(50, { n: 5 }),
      c.progress(30, { n: 4 }),
      c.progress(40),
    );
    expect(facts).toMatchObject({
      summaryCounts: { n: 5 },
      progressMovedAt: at(10),
      countsToldAt: at(50),
      lastHeartbeatAt: at(50),
      heartbeatsSinceProgress: 2,
    });
  });

  it('without counts hold up none that come late', () => {
    const facts = given(c.queue(), c.progress(60), c.progress(30, { n: 3 }));
    expect(facts).toMatchObject({
      summaryCounts: { n: 3 },
      progressMovedAt: at(30),
      lastHeartbeatAt: at(60),
    });
  });
});

it('a long story keeps its beginning and its end, and says how much is gone', () => {
  const turns = Array.from({ length: 80 }, (_, n) => [c.resolve(700 + n), c.reopen(700 + n)]).flat();
  const facts = given(c.queue(), ...turns, c.complete(2000));
  expect(facts?.timeline).toHaveLength(100);
  expect(facts?.timelineOmitted).toBe(62);
  expect(facts?.timeline[0]?.event).toBe('OperationRunQueued');
  expect(facts?.timeline.at(-1)?.event).toBe('OperationRunCompleted');
});

const seconds = fc.integer({ min: 0, max: 4000 });
const counts = fc.option(fc.record({ items: fc.integer({ min: 0, max: 5 }) }));
const reason = fc.option(fc.constantFrom('', 'why'));
const anyCommand: fc.Arbitrary<RunCommand> = fc.oneof(
  { weight: 1, arbitrary: seconds.map((s) => c.queue(s)) },
  { weight: 3, arbitrary: seconds.map(c.start) },
  { weight: 6, arbitrary: fc.tuple(seconds, counts).map(([s, n]) => c.progress(s, n)) },
  {
    weight: 3,
    arbitrary: fc.tuple(seconds, fc.constantFrom(...TERMINAL_OUTCOMES)).map(([s, o]) => c.complete(s, o)),
  },
  { weight: 1, arbitrary: seconds.map(c.cancel) },
  { weight: 3, arbitrary: seconds.map(c.reconcile) },
  { weight: 1, arbitrary: seconds.map(c.recordReconciliation) },
  { weight: 2, arbitrary: fc.tuple(seconds, reason).map(([s, r]) => c.markFailed(s, r)) },
  { weight: 2, arbitrary: seconds.map(c.resolve) },
  { weight: 2, arbitrary: seconds.map(c.reopen) },
  {
    weight: 2,
    arbitrary: fc
      .tuple(seconds, reason, fc.option(fc.constant('r9')))
      .map(([s, r, active]) => c.retry(s, r, active)),
  },
);
const anyHistory = fc.array(anyCommand, { maxLength: 40 }).map((rest) => [c.queue(), ...rest]);

const WEIGHT = { started: 1, progressed: 2, completed: 3 };
const TERMINAL_FACTS = ['status', 'outcome', 'completedAt', 'evidence', 'reasonCode', 'reason'] as const;

function checkStep(before: RunFacts | null, after: RunFacts): void {
  if (!before) return;
  if (before.status === 'completed')
    for (const field of TERMINAL_FACTS) expect(after[field]).toEqual(before[field]);
  if (before.evidence) expect(after.evidence).toEqual(before.evidence);
  if (before.lateReport) {
    expect(WEIGHT[after.lateReport!.kind]).toBeGreaterThanOrEqual(WEIGHT[before.lateReport.kind]);
    if (before.lateReport.kind === 'completed') expect(after.lateReport).toEqual(before.lateReport);
  }
  for (const field of ['lastHeartbeatAt', 'progressMovedAt', 'countsToldAt'] as const)
    if (before[field] !== null) expect(micros(after[field]!)).toBeGreaterThanOrEqual(micros(before[field]));
  expect(after.successorRunIds.slice(0, before.successorRunIds.length)).toEqual(before.successorRunIds);
  expect([after.runId, after.workspaceId, after.tenantId]).toEqual([
    before.runId,
    before.workspaceId,
    before.tenantId,
  ]);
}

it('whatever is asked of a run: what is decided can be folded, nothing leaves a terminal state, evidence only grows', () => {
  fc.assert(
    fc.property(anyHistory, (history) => {
      let facts: RunFacts | null = null;
      const stream: RecordedRunEvent[] = [];
      for (const command of history) {
        const decision = decide(facts, command, judge);
        if (!decision.accepted) continue;
        for (const event of decision.events) {
          // Through JSON and the event's schema: what the decider writes is what a reader can parse.
          const written = recorded(event, stream.length);
          const after = evolve(facts, written);
          checkStep(facts, after);
          stream.push(written);
          facts = after;
        }
      }
      expect(facts!.version).toBe(stream.length);
      expect(facts!.timeline.length).toBeLessThanOrEqual(100);
      expect(facts!.outcome === 'pending').toBe(facts!.status !== 'completed');
      expect(stream.reduce<RunFacts | null>(evolve, null)).toEqual(facts);
    }),
    { numRuns: 300 * TIMES },
  );
});
