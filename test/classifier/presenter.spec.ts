import { fc } from '../support/properties';
import { compareSeverity, present, presentClass, SEVERITIES } from '../../src/classifier/presenter';
import { parsePolicy } from '../../src/classifier/policy';
import { storedRun, subjectOf } from '../../src/classifier/run-row';
import { PROBLEM_CLASSES } from '../../src/domain/classification';
import type { RunFacts } from '../../src/domain/run-facts';
import { isLater } from '../../src/events/instant';
import {
  anyInstant,
  anyRun,
  at,
  classified,
  completedRun,
  lateSuccess,
  queuedRun,
  reconciledRun,
  runningRun,
} from './run-facts';

function wordsFor(facts: RunFacts, asOf = at(60), file: unknown = {}) {
  const policy = { version: 1, policy: parsePolicy(file) };
  return present(subjectOf(storedRun(classified(facts, policy)), asOf));
}

describe('labels and severities', () => {
  it.each<[string, RunFacts, number, string]>([
    ['Queued', queuedRun(), 60, 'info'],
    ['Never started', queuedRun(), 700, 'warning'],
    ['Running', runningRun(), 60, 'info'],
    ['Stuck: no heartbeat', runningRun(), 1000, 'warning'],
    ['Succeeded', completedRun(), 1000, 'ok'],
    ['Cancelled', completedRun({ outcome: 'cancelled' }), 1000, 'info'],
    ['Failed', completedRun({ outcome: 'failed' }), 1000, 'critical'],
    ['Partly succeeded', completedRun({ outcome: 'partially_succeeded' }), 1000, 'warning'],
    ['Blocked', completedRun({ outcome: 'blocked' }), 1000, 'warning'],
    ['Failed by reconciliation', reconciledRun(), 3000, 'critical'],
    ['Marked failed by an operator', reconciledRun({ reasonCode: 'marked_failed' }), 3000, 'critical'],
    ['Reconciled as cancelled', reconciledRun({}, { outcome: 'cancelled' }), 3000, 'info'],
    [
      'Reconciled as partly succeeded',
      reconciledRun({}, { outcome: 'partially_succeeded' }),
      3000,
      'warning',
    ],
  ])('%s', (label, facts, seconds, severity) => {
    expect(wordsFor(facts, at(seconds))).toMatchObject({ label, severity });
  });

  it('follow policy where it changes a class', () => {
    const file = { outcomeClasses: { failed: 'none', cancelled: 'terminal_follow_up' } };
    expect(wordsFor(completedRun({ outcome: 'failed' }), at(1000), file).severity).toBe('info');
    expect(wordsFor(completedRun({ outcome: 'cancelled' }), at(1000), file).severity).toBe('warning');
  });

  it('do not soften when somebody has looked at the run, retried it or heard from it late', () => {
    for (const over of [
      { resolution: 'investigated' as const },
      { successorRunIds: ['run-2'] },
      { lateReport: lateSuccess },
    ])
      expect(wordsFor(reconciledRun({}, over)).severity).toBe('critical');
  });
});

describe('words', () => {
  it('are there for every run at every instant, and hold nothing undefined', () => {
    fc.assert(
      fc.property(anyRun, anyInstant, (run, asOf) => {
        const words = present(subjectOf(storedRun(run), asOf));
        expect(SEVERITIES).toContain(words.severity);
        for (const text of [words.label, words.why, words.guidance]) {
          expect(text.trim().length).toBeGreaterThan(0);
          expect(text).not.toMatch(/\bnull\b|undefined|NaN|\[object|\bago\b/);
        }
      }),
    );
  });

  it('change with the instant only across staleAt: a 304 hides nothing', () => {
    fc.assert(
      fc.property(anyRun, anyInstant, anyInstant, (run, one, other) => {
        const stored = storedRun(run);
        const { staleAt } = stored;
        const same = staleAt === null || isLater(one, staleAt) === isLater(other, staleAt);
        const [a, b] = [one, other].map((asOf) => present(subjectOf(stored, asOf)));
        if (same) expect(a).toEqual(b);
        else expect(a!.label).not.toBe(b!.label);
      }),
    );
  });

  it('of a class are never milder than those of a run in it', () => {
    fc.assert(
      fc.property(anyRun, anyInstant, (run, asOf) => {
        const subject = subjectOf(storedRun(run), asOf);
        const item = presentClass(subject.problemClass);
        if (subject.problemClass !== 'none')
          expect(compareSeverity(item.severity, present(subject).severity)).toBeGreaterThanOrEqual(0);
      }),
    );
  });

  it('of a terminal notification are never milder than the detail, whatever is learned after it', () => {
    fc.assert(
      fc.property(anyRun, anyInstant, anyInstant, (run, one, other) => {
        const told = {
          ...run,
          facts: { ...run.facts, resolution: 'open' as const, successorRunIds: [], lateReport: null },
        };
        const notification = present(subjectOf(storedRun(told), one)).severity;
        if (run.facts.status === 'completed')
          expect(
            compareSeverity(notification, present(subjectOf(storedRun(run), other)).severity),
          ).toBeGreaterThanOrEqual(0);
      }),
    );
  });

  it('exist for every class', () => {
    expect(PROBLEM_CLASSES.map((problemClass) => presentClass(problemClass).label)).toEqual([
      'No problem',
      'Stuck',
      'Needs follow-up',
    ]);
    expect([...SEVERITIES].reverse().sort(compareSeverity)).toEqual([...SEVERITIES]);
  });
});
