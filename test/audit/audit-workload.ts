import { simulateWorkload } from '../../src/simulator/workload';
import type { WorkloadOptions } from '../../src/simulator/workload';
import { streamOf } from '../../src/events/operation-run-events';
import { discardParked } from '../../src/projector/parked-streams';
import type { ProjectionFixture } from '../support/projection';

const WORKLOAD: WorkloadOptions = {
  seed: 21,
  runs: 250,
  start: '2026-01-01T00:00:00.000Z',
  meanGapSeconds: 10,
  workspaces: 3,
  tenantsPerWorkspace: 4,
  meanRunSeconds: 240,
  heartbeatSeconds: 60,
  idPrefix: 'run-',
};
/** While the workload runs: some runs are over, some are active, some of those stuck. */
export const AS_OF = '2026-01-01T00:38:00.000Z';
const T0 = '2026-01-01T00:00:00.000Z';
const AFTER = '2026-01-01T06:00:00.000Z';

const metadata = { initiator: null, context: {}, summaryCounts: null, origin: null };
const queue = (runId: string, predecessorRunId: string | null = null) => ({
  runId,
  command: {
    kind: 'queue' as const,
    at: T0,
    workspaceId: 'workspace-1',
    tenantId: null,
    type: 'sync',
    predecessorRunId,
    ...metadata,
  },
});

/**
 * Puts into the log what an audit could stumble over, and projects it: a simulated platform, a reconciled run with a late
 * report, one failed and retried, a stream that is parked, one parked from its very first event, and one with an event
 * that was discarded.
 */
export async function writeEverything(fixture: ProjectionFixture): Promise<void> {
  await fixture.write([...simulateWorkload(WORKLOAD)].filter(({ command }) => command.at <= AS_OF));
  const progress = { kind: 'progress' as const, at: T0, summaryCounts: { items: 1 } };
  const failed = {
    kind: 'complete' as const,
    at: T0,
    outcome: 'failed' as const,
    summaryCounts: null,
    failureSummary: [{ code: 'timeout', message: 'no answer', count: 2 }],
    reasonCode: null,
    reason: 'gave up',
  };
  await fixture.write([
    queue('reconciled'),
    { runId: 'reconciled', command: { kind: 'start', at: T0 } },
    { runId: 'reconciled', command: progress },
    { runId: 'reconciled', command: { kind: 'reconcile', at: AFTER, by: 'reconciler' } },
    { runId: 'reconciled', command: { ...progress, at: AFTER } },
    queue('retried'),
    { runId: 'retried', command: failed },
    {
      runId: 'retried',
      command: {
        kind: 'retry',
        at: AFTER,
        successorRunId: 'successor',
        reason: null,
        activeSuccessorRunId: null,
      },
    },
    queue('successor', 'retried'),
    queue('parked'),
    queue('discarded'),
  ]);
  for (const runId of ['parked', 'discarded']) {
    await fixture.writeRaw(runId, 1, 'OperationRunStarted', { occurredAt: 42 });
    await fixture.writeRaw(runId, 2, 'OperationRunProgressed', {
      occurredAt: T0,
      summaryCounts: { items: 5 },
    });
  }
  await fixture.writeRaw('unreadable', 0, 'OperationRunQueued', { occurredAt: T0 });
  await fixture.catchUp(fixture.generation, { batchSize: 73 });
  const decision = { actor: 'ops', reason: 'written by a broken deployment' };
  const result = await discardParked(fixture.generation, streamOf('discarded'), decision, fixture.options);
  if (result.kind !== 'cleared') throw new Error(`the discard left ${result.kind}`);
}
