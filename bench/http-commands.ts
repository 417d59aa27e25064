import type { RunCommand } from '../src/domain/decider';
import { simulateWorkload } from '../src/simulator/workload';
import { BENCH_WORKLOAD } from './simulated-events';

export interface HttpCommand {
  readonly runId: string;
  readonly path: string;
  readonly body: unknown;
}

/**
 * The commands of short runs, so that half a minute sees whole lives and not only beginnings, as workers send them. Their
 * own instants are left out: they happen when they are sent.
 */
export function httpCommands(): { next(): HttpCommand } {
  const commands = simulateWorkload({
    ...BENCH_WORKLOAD,
    meanGapSeconds: 0.025,
    meanRunSeconds: 5,
    heartbeatSeconds: 2,
  });
  return {
    next() {
      const next = commands.next();
      if (next.done) throw new Error('the workload has ended, which it never does');
      return httpCommand(next.value.runId, next.value.command);
    },
  };
}

function httpCommand(runId: string, command: RunCommand): HttpCommand {
  const path = `/operation-runs/${runId}`;
  switch (command.kind) {
    case 'queue': {
      const { workspaceId, tenantId, type, initiator, context } = command;
      return {
        runId,
        path: '/operation-runs',
        body: { runId, workspaceId, tenantId, type, initiator, context },
      };
    }
    case 'start':
      return { runId, path: `${path}/start`, body: {} };
    case 'progress':
      return { runId, path: `${path}/progress`, body: { summaryCounts: command.summaryCounts } };
    case 'complete': {
      const { outcome, summaryCounts, failureSummary, reasonCode, reason } = command;
      const body = { outcome, summaryCounts, failureSummary, reasonCode, reason };
      return { runId, path: `${path}/complete`, body };
    }
    case 'cancel':
      return { runId, path: `${path}/cancel`, body: { reason: command.reason } };
    case 'resolve':
      return { runId, path: `${path}/follow-up/resolve`, body: { note: command.note } };
    case 'reopen':
    case 'retry':
    case 'reconcile':
    case 'record-reconciliation':
    case 'mark-failed':
      throw new Error(`the simulator sends no ${command.kind}`);
  }
}
