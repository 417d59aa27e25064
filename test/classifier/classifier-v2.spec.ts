import { fc } from '../support/properties';
import { judgeWith } from '../../src/classifier/classifier';
import { classifierV1 } from '../../src/classifier/classifier-v1';
import { classifierV2 } from '../../src/classifier/classifier-v2';
import { rowTimeline } from '../../src/classifier/classified-run';
import { decisionOf } from '../../src/classifier/decision-zone';
import { parsePolicy, ruleFor } from '../../src/classifier/policy';
import { present } from '../../src/classifier/presenter';
import { storedRun, storedRunJson, subjectOf } from '../../src/classifier/run-row';
import { decide } from '../../src/domain/decider';
import { evolve } from '../../src/domain/run-facts';
import type { RunFacts } from '../../src/domain/run-facts';
import { addSeconds, isLater } from '../../src/events/instant';
import { START } from '../../src/events/position';
import {
  anyFacts,
  anyPolicy,
  at,
  builtIn,
  classified,
  completedRun,
  queuedRun,
  runningRun,
} from './run-facts';

const policyOf = (file: unknown) => ({ version: 3, policy: parsePolicy(file) });
const under = (beats: number | null, rule: object = {}) =>
  policyOf({ defaults: { stalledAfterHeartbeats: beats, ...rule } });
/** Beats every minute, its counts unmoved since `moved`. */
const stalled = (moved: number, beat: number, over: Partial<RunFacts> = {}) =>
  runningRun({ progressMovedAt: at(moved), lastHeartbeatAt: at(beat), heartbeatsSinceProgress: 9, ...over });

describe('a running run', () => {
  it.each<[string, RunFacts, number | null, number, number]>([
    ['that beats without new counts goes stale by its counts', stalled(100, 1800), 30, 1900, 1800],
    ['that never told counts, by its silence', runningRun({ lastHeartbeatAt: at(1800) }), 30, 2700, 900],
    ['whose silence is due before, by its silence', stalled(100, 900), 30, 1800, 900],
    ['whose silence is due in the same instant, by its silence', stalled(100, 1000), 30, 1900, 900],
    ['whose counts have just moved, by its silence', stalled(100, 100), 30, 1000, 900],
    ['whose counts moved while it was queued, from its start on', stalled(5, 1800), 20, 1210, 1200],
    [
      'whose clock is behind, from its queueing on',
      stalled(-7200, 1800, { startedAt: at(-7200) }),
      20,
      1200,
      1200,
    ],
    ['under a policy without a limit, by its silence', stalled(100, 1800), null, 2700, 900],
  ])('%s', (_what, facts, beats, seconds, thresholdSeconds) => {
    expect(classifierV2(facts, under(beats))).toMatchObject({
      before: { problemClass: 'none', freshness: 'fresh_active' },
      staleAt: at(seconds),
      after: { problemClass: 'active_stale_attention', freshness: 'likely_stale' },
      staleKind: 'stale_running',
      thresholdSeconds,
    });
  });

  it('counts the heartbeats of its own type', () => {
    const policy = policyOf({
      types: { sync: { stalledAfterHeartbeats: 3, heartbeatEverySeconds: 300 } },
    });
    expect(classifierV2(stalled(100, 600), policy).staleAt).toBe(at(1000));
    expect(classifierV2(stalled(100, 600, { type: 'backup' }), policy).staleAt).toBe(at(1500));
  });

  it('is fresh again as soon as its counts move', () => {
    expect(classifierV2(stalled(1950, 1950), under(30)).staleAt).toBe(at(2850));
  });

  it('may stand still no longer although it may be silent for ever', () => {
    const timeline = classifierV2(stalled(100, 1800), under(30, { runningStaleAfterSeconds: null }));
    expect(timeline).toMatchObject({
      staleAt: at(1900),
      thresholdSeconds: 1800,
      staleKind: 'stale_running',
      reconcileDueAt: null,
    });
    expect(() => rowTimeline({ facts: stalled(100, 1800), timeline })).not.toThrow();
  });
});

test('a stalled run is not failed while it beats: reconciliation waits for its silence', () => {
  const policy = under(30);
  const facts = stalled(100, 5000);
  const { staleAt, reconcileDueAt } = classifierV2(facts, policy);
  expect([staleAt, reconcileDueAt]).toEqual([at(1900), at(6800)]);
  expect(reconcileDueAt).toBe(classifierV1(facts, policy).reconcileDueAt);
  const reconcile = (seconds: number) =>
    decide(facts, { kind: 'reconcile', at: at(seconds), by: 'reconciler' }, judgeWith(2, policy));
  expect(reconcile(5001)).toMatchObject({ accepted: false, rejection: { code: 'not_due' } });
  expect(reconcile(6801)).toMatchObject({
    accepted: true,
    events: [{ data: { evidence: { firstStaleAt: at(1900), staleKind: 'stale_running' } } }],
  });
});

test('an operator may mark a stalled run failed although it beats', () => {
  const command = { kind: 'mark-failed', at: at(1901), by: 'ann', reason: 'it loops' } as const;
  expect(decide(stalled(100, 1890), command, judgeWith(2, under(30))).accepted).toBe(true);
  expect(decide(stalled(100, 1890), command, judgeWith(1, under(30))).accepted).toBe(false);
});

test('heartbeats alone never put the deadline off, and new counts do', () => {
  const policy = under(30);
  const beat = (facts: RunFacts, seconds: number, items: number | null) =>
    evolve(facts, {
      type: 'OperationRunProgressed',
      data: { occurredAt: at(seconds), summaryCounts: items === null ? null : { items } },
      eventId: `e${facts.version}`,
      streamId: 'operation_run-run-1',
      revision: facts.version,
      position: START,
      metadata: { actor: 'w', plane: 'worker', commandId: 'c', correlationId: 'c', causationId: 'c' },
    });
  let facts = beat(runningRun(), 60, 1);
  for (let second = 120; second <= 1800; second += 60) facts = beat(facts, second, second % 120 ? 1 : null);
  expect(classifierV2(facts, policy).staleAt).toBe(at(1860));
  expect(classifierV2(beat(facts, 1830, 2), policy).staleAt).toBe(at(2730));
});

describe('the words', () => {
  const policy = under(30);
  const words = (facts: RunFacts, seconds: number) =>
    present(subjectOf(storedRun(classified(facts, policy, false, classifierV2)), at(seconds)));

  it('say before the deadline what it waits for', () => {
    expect(words(stalled(100, 1800), 1850)).toMatchObject({
      label: 'Running',
      why:
        `Started at ${at(10)}; last heartbeat at ${at(1800)}. ` +
        `It counts as stuck if its counts have not moved by ${at(1900)}: the limit is 1800 s.`,
    });
  });

  it('never call a run silent that beats', () => {
    expect(words(stalled(100, 1800), 1901)).toEqual({
      label: 'Stuck: no progress',
      severity: 'warning',
      why: `No new counts since ${at(100)}, though last heard from at ${at(1800)}: the limit of 1800 s passed at ${at(1900)}.`,
      guidance:
        `While it beats it is left to people; if it is not heard from again, it is failed automatically after ${at(3600)}. ` +
        'Check what its worker waits for or repeats; an operator can cancel it or mark it failed.',
    });
    expect(words(stalled(5, 1800), 1901).why).toContain(`No new counts since it started at ${at(10)}`);
    expect(words(stalled(100, 100), 2000).label).toBe('Stuck: no heartbeat');
  });

  it('of the decision zone name the limit that counts', () => {
    const { evidence } = decisionOf(classified(stalled(100, 1800), policy, false, classifierV2), at(1901));
    expect(evidence).toContainEqual({ label: 'Limit without new counts', value: '1800 s' });
  });
});

describe('for all facts and policies', () => {
  const isNeverLater = (a: string | null, b: string | null) => b === null || (a !== null && !isLater(a, b));

  it('version 2 is never later than version 1, and reconciles at the same instant', () => {
    fc.assert(
      fc.property(anyFacts, anyPolicy, (facts, policy) => {
        const [one, two] = [classifierV1(facts, policy), classifierV2(facts, policy)];
        expect(isNeverLater(two.staleAt, one.staleAt)).toBe(true);
        expect(two.reconcileDueAt).toBe(one.reconcileDueAt);
        expect(two.before).toEqual(one.before);
      }),
    );
  });

  it('version 2 is version 1 where the policy has no limit, no count ever moved, or the run does not run', () => {
    fc.assert(
      fc.property(anyFacts, anyPolicy, (facts, policy) => {
        const limited = ruleFor(policy.policy, facts.type).stalledAfterHeartbeats !== null;
        if (limited && facts.progressMovedAt !== null && facts.status === 'running') return;
        expect(classifierV2(facts, policy)).toEqual(classifierV1(facts, policy));
      }),
    );
  });

  it('a row holds what either says, and the row of version 1 knows nothing of a stall', () => {
    fc.assert(
      fc.property(anyFacts, anyPolicy, (facts, policy) => {
        expect(storedRunJson(classified(facts, policy))).not.toContain('stalledSince');
        const { staleAt, stalledSince, thresholdSeconds } = storedRun(
          classified(facts, policy, false, classifierV2),
        );
        if (stalledSince !== undefined) expect(addSeconds(stalledSince, thresholdSeconds!)).toBe(staleAt);
      }),
    );
  });

  it('a policy written before the field existed means what it meant', () => {
    const facts = stalled(100, 1800);
    expect(classifierV2(facts, builtIn)).toEqual(classifierV1(facts, builtIn));
    for (const one of [queuedRun(), completedRun()])
      expect(classifierV2(one, under(1))).toEqual(classifierV1(one, under(1)));
  });
});
