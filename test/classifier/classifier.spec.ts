import { fc } from '../support/properties';
import { classifiers, judgeEndedAlike, judgeWith, LATEST_CLASSIFIER } from '../../src/classifier/classifier';
import { classifierV1 } from '../../src/classifier/classifier-v1';
import { rowTimeline, rowVerdictAt, verdictAt } from '../../src/classifier/classified-run';
import { parsePolicy } from '../../src/classifier/policy';
import { PROBLEM_CLASSES } from '../../src/domain/classification';
import type { RunFacts } from '../../src/domain/run-facts';
import { addSeconds, isLater } from '../../src/events/instant';
import { TERMINAL_OUTCOMES } from '../../src/events/operation-run-events';
import {
  anyFacts,
  anyInstant,
  anyPolicy,
  anyRun,
  at,
  builtIn,
  classified,
  completedRun,
  queuedRun,
  reconciledRun,
  runningRun,
} from './run-facts';

const under = (file: unknown) => ({ version: 3, policy: parsePolicy(file) });

describe('an active run', () => {
  it.each<[string, RunFacts, number, string, number]>([
    ['queued', queuedRun(), 600, 'stale_queued', 600],
    ['queued with a heartbeat', queuedRun({ lastHeartbeatAt: at(50) }), 650, 'stale_queued', 600],
    [
      'queued, with a heartbeat of a clock that is behind',
      queuedRun({ lastHeartbeatAt: at(-7200) }),
      600,
      'stale_queued',
      600,
    ],
    [
      'running by a clock that is behind',
      runningRun({ startedAt: at(-7200), lastHeartbeatAt: at(-7100) }),
      900,
      'stale_running',
      900,
    ],
    ['running without any heartbeat', runningRun(), 910, 'stale_running', 900],
    ['running with a heartbeat', runningRun({ lastHeartbeatAt: at(100) }), 1000, 'stale_running', 900],
    [
      'running, its only heartbeat sent while queued',
      runningRun({ lastHeartbeatAt: at(5) }),
      910,
      'stale_running',
      900,
    ],
    ['running with no start known', runningRun({ startedAt: null }), 900, 'stale_running', 900],
  ])('that is %s goes stale', (_what, facts, seconds, staleKind, thresholdSeconds) => {
    expect(classifierV1(facts, builtIn)).toEqual({
      before: { problemClass: 'none', freshness: 'fresh_active' },
      staleAt: at(seconds),
      after: { problemClass: 'active_stale_attention', freshness: 'likely_stale' },
      staleKind,
      thresholdSeconds,
      reconcileDueAt: at(seconds - thresholdSeconds + 1800),
      retryable: true,
      policyVersion: 1,
    });
  });

  it('goes stale to the microsecond', () => {
    const facts = runningRun({ lastHeartbeatAt: '2026-03-01T08:00:20.000001Z' });
    const { staleAt } = classifierV1(facts, under({ defaults: { runningStaleAfterSeconds: 0.5 } }));
    expect(staleAt).toBe('2026-03-01T08:00:20.500001Z');
  });

  it('never goes stale under a threshold of null, and is then never reconciled', () => {
    const policy = under({ types: { sync: { queuedStaleAfterSeconds: null } } });
    expect(classifierV1(queuedRun(), policy)).toMatchObject({
      before: { problemClass: 'none', freshness: 'fresh_active' },
      after: { problemClass: 'none', freshness: 'fresh_active' },
      staleAt: null,
      staleKind: null,
      thresholdSeconds: null,
      reconcileDueAt: null,
    });
    expect(classifierV1(runningRun(), policy).staleAt).toBe(at(910));
    expect(classifierV1(queuedRun({ type: 'backup' }), policy).staleAt).toBe(at(600));
  });
});

describe('reconciliation', () => {
  const dueAt = (file: unknown, facts = queuedRun()) => classifierV1(facts, under(file)).reconcileDueAt;

  it('is due reconcileAfterSeconds after the last sign of life', () => {
    expect(dueAt({ defaults: { reconcileAfterSeconds: 3600 } })).toBe(at(3600));
    expect(dueAt({}, queuedRun({ lastHeartbeatAt: at(5) }))).toBe(at(1805));
  });

  it('is never due before the run has been stuck for a heartbeat interval: a raised threshold stays valid', () => {
    const file = { types: { sync: { queuedStaleAfterSeconds: 7200, heartbeatEverySeconds: 90 } } };
    expect(dueAt(file)).toBe(at(7290));
    expect(dueAt({ defaults: { reconcileAfterSeconds: 600 } })).toBe(at(660));
  });

  it('is never due where policy takes no action', () => {
    expect(dueAt({ types: { sync: { action: 'none' } } })).toBeNull();
  });

  it('is never due on an imported run, which goes stale all the same', () => {
    const timeline = classifierV1(queuedRun({ origin: 'import:trace' }), builtIn);
    expect(timeline).toMatchObject({ staleAt: at(600), reconcileDueAt: null });
  });
});

describe('a completed run', () => {
  const classOf = (facts: RunFacts, file: unknown = {}) =>
    classifierV1(facts, under(file)).before.problemClass;

  it.each([
    ['succeeded', 'none'],
    ['cancelled', 'none'],
    ['failed', 'terminal_follow_up'],
    ['partially_succeeded', 'terminal_follow_up'],
    ['blocked', 'terminal_follow_up'],
  ] as const)('that %s is %s', (outcome, problemClass) => {
    const timeline = classifierV1(completedRun({ outcome }), builtIn);
    const verdict = { problemClass, freshness: 'terminal_normal' };
    expect(timeline).toEqual({
      before: verdict,
      staleAt: null,
      after: verdict,
      staleKind: null,
      thresholdSeconds: null,
      reconcileDueAt: null,
      retryable: true,
      policyVersion: 1,
    });
  });

  it.each(TERMINAL_OUTCOMES)('that %s takes the class its policy gives the outcome', (outcome) => {
    for (const problemClass of ['none', 'terminal_follow_up'])
      expect(classOf(completedRun({ outcome }), { outcomeClasses: { [outcome]: problemClass } })).toBe(
        problemClass,
      );
  });

  it('takes the class of its reason code over that of its outcome', () => {
    const facts = completedRun({ outcome: 'failed', reasonCode: 'quota' });
    expect(classOf(facts, { reasonCodes: { quota: 'none' } })).toBe('none');
    expect(classOf(facts, { reasonCodes: { other: 'none' } })).toBe('terminal_follow_up');
    expect(classOf({ ...facts, reasonCode: 'toString' })).toBe('terminal_follow_up');
  });

  it('is reconciled_failed when it was ended without its worker, whatever class policy gives that', () => {
    expect(classifierV1(reconciledRun(), builtIn).before).toEqual({
      problemClass: 'terminal_follow_up',
      freshness: 'reconciled_failed',
    });
    expect(classifierV1(reconciledRun(), under({ reasonCodes: { stale_running: 'none' } })).before).toEqual({
      problemClass: 'none',
      freshness: 'reconciled_failed',
    });
  });

  it('may be exempt from retries', () => {
    expect(classifierV1(completedRun(), under({ types: { sync: { retryable: false } } })).retryable).toBe(
      false,
    );
  });
});

describe('a verdict', () => {
  it('changes strictly later than staleAt', () => {
    const { timeline } = classified(queuedRun());
    expect(verdictAt(timeline, at(600)).problemClass).toBe('none');
    expect(verdictAt(timeline, at(600.000001)).problemClass).toBe('active_stale_attention');
  });

  it('on an incomplete run keeps its class, but claims no freshness', () => {
    const { timeline } = classified(queuedRun());
    expect(verdictAt(timeline, at(700), true)).toEqual({
      problemClass: 'active_stale_attention',
      freshness: 'unknown',
    });
  });

  it('is one class, and one that only news can take back', () => {
    fc.assert(
      fc.property(anyRun, fc.array(anyInstant, { minLength: 2, maxLength: 5 }), ({ timeline }, instants) => {
        const inOrder = instants.sort((a, b) => (isLater(a, b) ? 1 : -1));
        const verdicts = inOrder.map((asOf) => verdictAt(timeline, asOf).problemClass);
        for (const one of verdicts) expect(PROBLEM_CLASSES).toContain(one);
        const firstStale = verdicts.indexOf('active_stale_attention');
        if (firstStale >= 0)
          expect(new Set(verdicts.slice(firstStale))).toEqual(new Set(['active_stale_attention']));
      }),
    );
  });

  it('is the same from a row as from the timeline', () => {
    fc.assert(
      fc.property(anyRun, anyInstant, (run, asOf) => {
        const row = { ...rowTimeline(run), incomplete: run.incomplete };
        expect(rowVerdictAt(row, asOf)).toEqual(verdictAt(run.timeline, asOf, run.incomplete));
      }),
    );
  });
});

describe('classifierV1', () => {
  it('lets no run be reconciled before it has been seen stale for a heartbeat interval', () => {
    fc.assert(
      fc.property(anyFacts, anyPolicy, (facts, policy) => {
        const { staleAt, reconcileDueAt } = classifierV1(facts, policy);
        if (reconcileDueAt === null) return;
        expect(staleAt).not.toBeNull();
        const beat =
          (policy.policy.types[facts.type] ?? {}).heartbeatEverySeconds ??
          policy.policy.defaults.heartbeatEverySeconds;
        // A microsecond of grace: the deadlines are rounded to whole ones apart from each other.
        expect(isLater(addSeconds(staleAt!, beat - 0.000001), reconcileDueAt)).toBe(false);
      }),
    );
  });

  it('is what a new database starts with; a version the binary lacks is refused by name', () => {
    expect(classifiers.get(LATEST_CLASSIFIER)).toBe(classifierV1);
    expect(judgeWith(1, builtIn)(queuedRun())).toEqual(classifierV1(queuedRun(), builtIn));
    expect(() => judgeWith(99, builtIn)).toThrow('no classifier version 99, only 1, 2');
  });
});

describe('a row', () => {
  it('refuses a timeline that its columns cannot hold', () => {
    const { facts, timeline } = classified(queuedRun());
    const follow = { problemClass: 'terminal_follow_up', freshness: 'terminal_normal' } as const;
    const refused = [
      { ...timeline, before: follow },
      { ...timeline, after: follow },
      { ...timeline, staleAt: null },
      { ...timeline, staleAt: null, before: timeline.after },
    ];
    for (const one of refused)
      expect(() => rowTimeline({ facts, timeline: one })).toThrow(
        'run run-1 at version 1: its classifier says',
      );
  });
});

describe('rules that judge ended runs alike', () => {
  it('judge each of them alike, whatever their limits and versions; and are told from others', () => {
    const anyVersion = fc.constantFrom(...classifiers.keys());
    // Half of the pairs differ in limits alone.
    const anyPair = fc.tuple(anyPolicy, anyPolicy, fc.boolean()).map(([one, another, byLimits]) => {
      const { types, outcomeClasses, reasonCodes, defaults } = one.policy;
      const { retryable } = defaults;
      const limits = { ...another.policy.defaults, retryable };
      const other = byLimits ? { types, outcomeClasses, reasonCodes, defaults: limits } : another.policy;
      return [one, { version: 5, policy: other }] as const;
    });
    let alike = 0;
    fc.assert(
      fc.property(anyPair, anyVersion, anyVersion, anyFacts, ([one, other], first, second, facts) => {
        const rules = [
          { classifierVersion: first, policy: one.policy },
          { classifierVersion: second, policy: other.policy },
        ] as const;
        if (!judgeEndedAlike(...rules)) return;
        alike += 1;
        if (facts.status !== 'completed') return;
        const [a, b] = [judgeWith(first, one)(facts), judgeWith(second, other)(facts)];
        expect({ ...a, policyVersion: 0 }).toEqual({ ...b, policyVersion: 0 });
      }),
    );
    expect(alike).toBeGreaterThan(20);
  });

  it.each([
    ['an outcome', { outcomeClasses: { failed: 'none' } }],
    ['a reason code', { reasonCodes: { known: 'none' } }],
    ['whether runs can be retried', { defaults: { retryable: false } }],
    ['whether runs of a type can be retried', { types: { backup: { retryable: false } } }],
  ])('are others where %s is judged otherwise', (_what, file) => {
    const rules = (given: unknown) => ({ classifierVersion: 1, policy: parsePolicy(given) });
    expect(judgeEndedAlike(rules({}), rules({}))).toBe(true);
    expect(judgeEndedAlike(rules({}), rules(file))).toBe(false);
    expect(judgeEndedAlike(rules(file), rules({}))).toBe(false);
  });

  it('are no rules of a version that nobody has said so of', () => {
    const { policy } = builtIn;
    expect(judgeEndedAlike({ classifierVersion: 1, policy }, { classifierVersion: 99, policy })).toBe(false);
  });
});
