import { allowedActions } from '../../src/domain/allowed-actions';
import { decide } from '../../src/domain/decider';
import type { RunCommand } from '../../src/domain/decider';
import type { RunFacts } from '../../src/domain/run-facts';
import { at, commands as c, given, judge, said } from './story';

const reconciled = [c.queue(), c.start(10), c.reconcile(1811)];

/** A state, and the second after T0 at which the commands of its row arrive. */
const STATES: Record<string, { history: RunCommand[]; now: number }> = {
  'no such run': { history: [], now: 100 },
  'queued, fresh': { history: [c.queue()], now: 600 },
  'queued, stale': { history: [c.queue()], now: 601 },
  'queued, at its deadline': { history: [c.queue()], now: 1800 },
  'queued, due': { history: [c.queue()], now: 1801 },
  'queued, stale, investigated': { history: [c.queue(), c.resolve(650)], now: 700 },
  'running, fresh': { history: [c.queue(), c.start(10)], now: 910 },
  'running, stale': { history: [c.queue(), c.start(10)], now: 911 },
  'running, due': { history: [c.queue(), c.start(10)], now: 1811 },
  'running, kept alive': { history: [c.queue(), c.start(10), c.progress(1000)], now: 1811 },
  succeeded: { history: [c.queue(), c.start(10), c.complete(20)], now: 100 },
  failed: { history: [c.queue(), c.complete(20, 'failed')], now: 100 },
  'partially succeeded': { history: [c.queue(), c.complete(20, 'partially_succeeded')], now: 100 },
  'failed, investigated': { history: [c.queue(), c.complete(20, 'failed'), c.resolve(30)], now: 100 },
  cancelled: { history: [c.queue(), c.cancel(20)], now: 100 },
  reconciled: { history: reconciled, now: 2000 },
  'marked failed': { history: [c.queue(), c.markFailed(700)], now: 2000 },
  'reconciled at source': { history: [c.queue(), c.recordReconciliation(5)], now: 2000 },
};

const COLUMNS: readonly ((now: number) => RunCommand)[] = [
  c.queue,
  c.start,
  c.progress,
  c.complete,
  c.cancel,
  c.reconcile,
  c.recordReconciliation,
  c.markFailed,
  c.resolve,
  c.reopen,
  c.retry,
];

const missing = Array.from({ length: 10 }, () => 'run_not_found');
const ends = ['Completed', 'Completed'];
const ended = ['run_already_exists', ...Array.from({ length: 7 }, () => 'illegal_transition')];
const late = [
  'run_already_exists',
  ...Array.from({ length: 3 }, () => 'LateReportRecorded'),
  ...Array.from({ length: 4 }, () => 'illegal_transition'),
];
const queued = ['run_already_exists', 'Started', 'Progressed', ...ends];
const running = ['run_already_exists', 'unchanged', 'Progressed', ...ends];
const fresh = [
  'not_due',
  'Reconciled',
  'not_stale',
  'nothing_to_follow_up',
  'unchanged',
  'illegal_transition',
];
const stale = ['not_due', 'Reconciled', 'Reconciled', 'FollowUpResolved', 'unchanged', 'illegal_transition'];
const due = ['Reconciled', ...stale.slice(1)];
const problem = ['FollowUpResolved', 'unchanged', 'Retried'];
const noProblem = ['nothing_to_follow_up', 'unchanged', 'Retried'];

/** In the order of COLUMNS. */
const EXPECTED: Record<keyof typeof STATES, string[]> = {
  'no such run': ['Queued', ...missing],
  'queued, fresh': [...queued, ...fresh],
  'queued, stale': [...queued, ...stale],
  'queued, at its deadline': [...queued, ...stale],
  'queued, due': [...queued, ...due],
  'queued, stale, investigated': [...queued, ...stale.with(3, 'unchanged').with(4, 'FollowUpReopened')],
  'running, fresh': [...running, ...fresh],
  'running, stale': [...running, ...stale],
  'running, due': [...running, ...due],
  'running, kept alive': [...running, ...fresh],
  succeeded: [...ended, ...noProblem],
  failed: [...ended, ...problem],
  'partially succeeded': [...ended, ...problem],
  'failed, investigated': [...ended, 'unchanged', 'FollowUpReopened', 'Retried'],
  cancelled: [...ended.with(3, 'LateReportRecorded').with(4, 'unchanged'), ...noProblem],
  reconciled: [...late, ...problem],
  'marked failed': [...late, ...problem],
  'reconciled at source': [...late, ...problem],
};

describe.each(Object.entries(STATES))('given a run that is %s', (name, { history, now }) => {
  const facts = given(...history);

  it.each(COLUMNS.map((command, column) => [command(now).kind, EXPECTED[name]![column], command] as const))(
    'when %s then %s',
    (_kind, expected, command) => {
      expect(said(decide(facts, command(now), judge))).toBe(expected);
    },
  );

  it('offers just what would move it', () => {
    const own = new Set(['Queued', 'Started', 'Progressed', 'Completed', 'Retried']);
    const offered = COLUMNS.map((command) => command(now))
      .filter(({ kind }) => kind !== 'reconcile' && kind !== 'record-reconciliation')
      .filter((command) => {
        const word = said(decide(facts, command, judge));
        return own.has(word) || word === 'Reconciled' || word.startsWith('FollowUp');
      })
      .map(({ kind }) => kind);
    expect([...allowedActions(facts, at(now), judge)].sort()).toEqual(offered.sort());
  });
});

describe('reasons', () => {
  const blank = [null, '', '  \n'];

  it.each(blank)('a run is not marked failed for the reason %j', (reason) => {
    expect(said(decide(given(c.queue()), c.markFailed(700, reason), judge))).toBe('reason_required');
  });

  it.each(blank)(
    'a reconciled run is not retried for the reason %j: its work may have been done',
    (reason) => {
      expect(said(decide(given(...reconciled), c.retry(2000, reason), judge))).toBe('reason_required');
    },
  );

  it('a run that its own worker ended is retried without a reason', () => {
    const facts = given(c.queue(), c.complete(5, 'failed'));
    expect(said(decide(facts, c.retry(10, null), judge))).toBe('Retried');
  });
});

describe('retry', () => {
  const failed = [c.queue(), c.complete(5, 'failed')];

  it('is refused while a successor is active', () => {
    const decision = decide(given(...failed, c.retry(10)), c.retry(20, 'again', 'r2'), judge);
    expect(decision).toMatchObject({
      accepted: false,
      rejection: { code: 'successor_active', message: expect.stringContaining('r2') as string },
    });
  });

  it('may follow a retry whose successor is over', () => {
    expect(said(decide(given(...failed, c.retry(10)), c.retry(20), judge))).toBe('Retried');
  });

  it('is refused for types that policy exempts', () => {
    const facts = given(c.queue(0, 'import'), c.complete(5, 'failed'));
    expect(said(decide(facts, c.retry(10), judge))).toBe('not_retryable');
    expect(allowedActions(facts, at(10), judge)).toEqual(['resolve']);
  });

  it('is not offered while nobody knows how the newest successor fares', () => {
    const facts = given(...failed, c.retry(10));
    expect(allowedActions(facts, at(20), judge)).not.toContain('retry');
    expect(allowedActions(facts, at(20), judge, null)).toContain('retry');
    expect(allowedActions(facts, at(20), judge, 'r2')).not.toContain('retry');
  });
});

describe('evidence', () => {
  const evidenceOf = (facts: RunFacts | null) => facts?.evidence;

  it('of a reconciled run says since when it was stale, by which limit and what was last heard', () => {
    const facts = given(c.queue(), c.start(10), c.progress(60), c.reconcile(2000));
    expect(facts).toMatchObject({ status: 'completed', outcome: 'failed', completedAt: at(2000) });
    expect(evidenceOf(facts)).toEqual({
      firstStaleAt: at(960),
      staleKind: 'stale_running',
      thresholdSeconds: 900,
      lastHeartbeatAt: at(60),
      priorStatus: 'running',
      reconciledAt: at(2000),
      reconciledBy: 'reconciler',
      reasonCode: 'stale_running',
      reason: `last heartbeat at ${at(60)}; stale since ${at(960)} by a limit of 900 s`,
      policyVersion: 7,
    });
  });

  it('of a run that never beat rests on when it was queued', () => {
    expect(evidenceOf(given(c.queue(), c.reconcile(1801)))).toMatchObject({
      firstStaleAt: at(600),
      staleKind: 'stale_queued',
      lastHeartbeatAt: null,
      priorStatus: 'queued',
      reason: `never started; stale since ${at(600)} by a limit of 600 s`,
    });
  });

  it('of a marked run names the operator and keeps their words', () => {
    expect(evidenceOf(given(c.queue(), c.markFailed(700, '  host lost ')))).toMatchObject({
      reconciledBy: 'olga',
      reasonCode: 'marked_failed',
      reason: 'host lost',
    });
  });

  it('of a reconciliation by the source, earlier than our own limit, begins with it', () => {
    expect(evidenceOf(given(c.queue(), c.recordReconciliation(5)))).toMatchObject({
      firstStaleAt: at(5),
      reasonCode: 'reconciled_at_source',
    });
  });

  it('is not made for types that policy leaves alone, however late', () => {
    const facts = given(c.queue(0, 'restore'));
    expect(said(decide(facts, c.reconcile(1e6), judge))).toBe('not_due');
    expect(said(decide(facts, c.markFailed(1e6), judge))).toBe('Reconciled');
  });
});

describe('late reports', () => {
  it('of a reconciled run keep what the worker said and change nothing else', () => {
    const before = given(...reconciled)!;
    const after = given(...reconciled, c.complete(2000, 'succeeded'))!;
    expect(after).toMatchObject({
      status: 'completed',
      outcome: 'failed',
      completedAt: before.completedAt,
      evidence: before.evidence,
      summaryCounts: before.summaryCounts,
      lateReport: {
        kind: 'completed',
        outcome: 'succeeded',
        occurredAt: at(2000),
        summaryCounts: { items: 3 },
      },
    });
  });

  it('never say less than before, whatever their order', () => {
    const started = c.start(2010);
    const counted = c.progress(2020, { items: 2 });
    expect(given(...reconciled, counted, started)?.lateReport).toMatchObject({
      kind: 'progressed',
      summaryCounts: { items: 2 },
    });
    expect(given(...reconciled, c.complete(2000), counted)?.lateReport?.kind).toBe('completed');
    expect(given(...reconciled, c.complete(2000), c.complete(2100, 'failed'))?.lateReport?.outcome).toBe(
      'succeeded',
    );
    expect(given(...reconciled, started, counted, c.complete(2100))?.lateReport?.kind).toBe('completed');
  });
});
