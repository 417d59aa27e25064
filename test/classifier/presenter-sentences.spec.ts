import { present } from '../../src/classifier/presenter';
import { parsePolicy } from '../../src/classifier/policy';
import { storedRun, subjectOf } from '../../src/classifier/run-row';
import type { RunFacts } from '../../src/domain/run-facts';
import {
  at,
  builtIn,
  classified,
  completedRun,
  lateSuccess,
  QUEUED_AT,
  queuedRun,
  reconciledRun,
  runningRun,
} from './run-facts';

function wordsFor(facts: RunFacts, asOf = at(60), file: unknown = {}) {
  const policy = { version: 1, policy: parsePolicy(file) };
  return present(subjectOf(storedRun(classified(facts, policy)), asOf));
}

const failures = [{ code: 'timeout', message: 'no answer in 30 s', count: 3 }];

describe('why', () => {
  it.each<[string, RunFacts, number, string]>([
    [
      'queued',
      queuedRun(),
      60,
      `Queued at ${QUEUED_AT}. It counts as stuck if nothing is heard of it by ${at(600)}: the limit is 600 s.`,
    ],
    [
      'running, never heard from',
      runningRun(),
      60,
      `Started at ${at(10)}; no heartbeat yet. It counts as stuck if nothing is heard of it by ${at(910)}: the limit is 900 s.`,
    ],
    [
      'running',
      runningRun({ lastHeartbeatAt: at(50) }),
      60,
      `Started at ${at(10)}; last heartbeat at ${at(50)}. It counts as stuck if nothing is heard of it by ${at(950)}: the limit is 900 s.`,
    ],
    [
      'never started',
      queuedRun(),
      700,
      `Queued at ${QUEUED_AT} and not started: the limit of 600 s passed at ${at(600)}.`,
    ],
    [
      'never started, but heard from',
      queuedRun({ lastHeartbeatAt: at(5) }),
      700,
      `Queued at ${QUEUED_AT} and not started (last heard from at ${at(5)}): the limit of 600 s passed at ${at(605)}.`,
    ],
    [
      'stuck from the start',
      runningRun(),
      1000,
      `No heartbeat since it started at ${at(10)}: the limit of 900 s passed at ${at(910)}.`,
    ],
    [
      'stuck',
      runningRun({ lastHeartbeatAt: at(50) }),
      1000,
      `No heartbeat since ${at(50)}: the limit of 900 s passed at ${at(950)}.`,
    ],
    ['succeeded', completedRun(), 1000, `Its worker reported succeeded at ${at(100)}.`],
    [
      'failed with failures',
      completedRun({ outcome: 'failed', failureSummary: failures }),
      1000,
      `Its worker reported failed at ${at(100)}. Failures: timeout (3); the first said: no answer in 30 s.`,
    ],
    [
      'failed with a reason',
      completedRun({ outcome: 'failed', reasonCode: 'quota', reason: 'disk full!' }),
      1000,
      `Its worker reported failed at ${at(100)}. Reason (quota): disk full!`,
    ],
    [
      'blocked with a code only',
      completedRun({ outcome: 'blocked', reasonCode: 'quota' }),
      1000,
      `Its worker reported blocked at ${at(100)}. Reason: quota.`,
    ],
    [
      'cancelled',
      completedRun({ outcome: 'cancelled', reasonCode: 'cancelled_by_request' }),
      1000,
      `Cancelled at ${at(100)}. Reason: cancelled_by_request.`,
    ],
    [
      'cancelled, but done',
      completedRun({ outcome: 'cancelled', lateReport: lateSuccess }),
      1000,
      `Cancelled at ${at(100)}. Its worker later reported succeeded, at ${at(2500)}.`,
    ],
    [
      'reconciled',
      reconciledRun(),
      3000,
      `Failed by reconciler at ${at(2000)} because it was silent, not because its worker said so. ` +
        `It had never sent a heartbeat and counted as stuck from ${at(910)} on (limit 900 s).`,
    ],
    [
      'reconciled, then reported done',
      reconciledRun({ lastHeartbeatAt: at(10) }, { lateReport: lateSuccess }),
      3000,
      `Failed by reconciler at ${at(2000)} because it was silent, not because its worker said so. ` +
        `It was last heard from at ${at(10)} and counted as stuck from ${at(910)} on (limit 900 s). ` +
        `Its worker later reported succeeded, at ${at(2500)}.`,
    ],
    [
      'reconciled, then heard from',
      reconciledRun(
        { staleKind: 'stale_queued' },
        { lateReport: { ...lateSuccess, kind: 'started', outcome: null } },
      ),
      3000,
      `Failed by reconciler at ${at(2000)} because it was silent, not because its worker said so. ` +
        `It had not started and counted as stuck from ${at(910)} on (limit 900 s). Its worker was still heard from at ${at(2500)}.`,
    ],
    [
      'marked failed',
      reconciledRun({ reasonCode: 'marked_failed', reason: 'worker host is gone', reconciledBy: 'ann' }),
      3000,
      `Marked failed by ann at ${at(2000)}: worker host is gone. ` +
        `It had never sent a heartbeat and counted as stuck from ${at(910)} on (limit 900 s).`,
    ],
    [
      'given up by its source',
      reconciledRun({
        reasonCode: 'reconciled_at_source',
        reason: 'lost',
        reconciledBy: 'trace',
        thresholdSeconds: 0,
      }),
      3000,
      `Closed as failed by trace at ${at(2000)}: lost. It had never sent a heartbeat and counted as stuck from ${at(910)} on.`,
    ],
  ])('a run is %s', (_what, facts, seconds, why) => {
    expect(wordsFor(facts, at(seconds)).why).toBe(why);
  });

  it('says that policy sets no limit', () => {
    const file = { defaults: { queuedStaleAfterSeconds: null } };
    expect(wordsFor(queuedRun(), at(9000), file).why).toContain(
      'Policy sets no limit on how long runs of type sync may stay queued.',
    );
  });

  it('says how many kinds of failure it leaves out', () => {
    const failureSummary = [1, 2, 3, 4, 5, 6, 7].map((n) => ({ code: `e${n}`, message: '', count: n }));
    expect(wordsFor(completedRun({ outcome: 'failed', failureSummary })).why).toContain(
      'Failures: e1 (1), e2 (2), e3 (3), e4 (4), e5 (5) and 2 more kinds.',
    );
  });

  it('and guidance admit that the run is behind the log', () => {
    const words = present(subjectOf(storedRun(classified(queuedRun(), builtIn, true)), at(60)));
    expect(words.why).toContain('a later event of this run could not be read');
    expect(words.guidance).toContain('under projections');
  });
});

describe('guidance', () => {
  const guidance = (facts: RunFacts, seconds = 3000, file: unknown = {}) =>
    wordsFor(facts, at(seconds), file).guidance;

  it('says what happens to a stuck run by itself', () => {
    expect(guidance(queuedRun(), 700)).toContain(`it is failed automatically after ${at(1800)}`);
    expect(guidance(queuedRun(), 700, { defaults: { action: 'none' } })).toContain(
      'nothing happens by itself',
    );
    expect(guidance(queuedRun({ origin: 'import:trace' }), 700)).toContain('Its history was imported');
  });

  it('asks for nothing where nothing is needed', () => {
    for (const facts of [queuedRun(), runningRun(), completedRun(), completedRun({ outcome: 'cancelled' })])
      expect(guidance(facts, 60)).toMatch(/^Nothing to do[.:]/);
    const waived = guidance(completedRun({ outcome: 'failed' }), 60, { outcomeClasses: { failed: 'none' } });
    expect(waived).toContain('policy asks for no follow-up');
    expect(guidance(completedRun({ outcome: 'cancelled', lateReport: lateSuccess }))).toContain(
      'check what it left behind',
    );
  });

  it('warns that the work of a reconciled run may have been done', () => {
    expect(guidance(reconciledRun())).toContain('it may have been done');
    expect(guidance(reconciledRun())).toContain('needs a reason');
    expect(guidance(reconciledRun({}, { lateReport: lateSuccess }))).toContain('rather than retry it');
  });

  it('offers a retry only where policy allows one', () => {
    const failed = completedRun({ outcome: 'failed' });
    expect(guidance(failed)).toContain('A retry starts a new, linked run');
    expect(guidance(failed, 3000, { defaults: { retryable: false } })).toContain('cannot be retried here');
  });

  it('follows what has been done already', () => {
    expect(guidance(reconciledRun({}, { successorRunIds: ['run-2', 'run-3'] }))).toContain(
      'retried as run run-3',
    );
    expect(guidance(reconciledRun({}, { resolution: 'investigated' }))).toMatch(/^Marked investigated/);
    expect(guidance(queuedRun({ resolution: 'investigated' }), 700)).toContain('marked it investigated');
  });
});
