import { decisionOf } from '../../src/classifier/decision-zone';
import { present } from '../../src/classifier/presenter';
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

describe('the decision zone', () => {
  const lines = (facts: RunFacts, seconds: number, incomplete = false) => {
    const zone = decisionOf(classified(facts, builtIn, incomplete), at(seconds));
    return Object.fromEntries(zone.evidence.map(({ label, value }) => [label, value]));
  };

  it('says the words of every list, and what they rest on', () => {
    const run = classified(
      runningRun({ lastHeartbeatAt: at(50), progressMovedAt: at(20), heartbeatsSinceProgress: 3 }),
    );
    const words = present(subjectOf(storedRun(run), at(1000)));
    const { evidence, ...zone } = decisionOf(run, at(1000));
    expect(zone).toEqual({ what: words.label, why: words.why, next: words.guidance });
    expect(evidence).toEqual([
      { label: 'Queued', value: QUEUED_AT },
      { label: 'Started', value: at(10) },
      { label: 'Last heartbeat', value: at(50) },
      { label: 'Counts last moved', value: at(20) },
      { label: 'Heartbeats without new counts', value: '3' },
      { label: 'Limit of silence', value: '900 s' },
      { label: 'Counts as stuck after', value: at(950) },
      { label: 'Failed automatically after', value: at(1850) },
      { label: 'Policy version', value: '1' },
    ]);
  });

  it('shows the end, the lineage, the late report and the retries of a reconciled run', () => {
    const facts = reconciledRun(
      {},
      { lateReport: lateSuccess, successorRunIds: ['run-2'], predecessorRunId: 'run-0' },
    );
    expect(lines(facts, 3000)).toEqual({
      Queued: QUEUED_AT,
      Started: at(10),
      Completed: at(2000),
      Outcome: 'failed',
      'Reason code': 'stale_running',
      Reason: facts.reason,
      'Stuck since': at(910),
      'Limit that passed': '900 s',
      'Status before': 'running',
      Reconciled: at(2000),
      'Reconciled by': 'reconciler',
      'Policy version then': '1',
      'Late report': `succeeded, at ${at(2500)}`,
      'Retry of': 'run-0',
      'Retried as': 'run-2',
      'Policy version': '1',
    });
  });

  it('shows every failure, and what it does not know', () => {
    expect(
      lines(
        completedRun({
          outcome: 'failed',
          failureSummary: [{ code: 'timeout', message: 'no answer in 30 s', count: 3 }],
        }),
        3000,
      ),
    ).toMatchObject({
      Failure: 'timeout (3): no answer in 30 s',
    });
    expect(lines(queuedRun(), 60, true)).toMatchObject({
      'Behind the log': 'known up to version 1; a later event is parked',
    });
  });
});
