import type { RunCommand } from '../../src/domain/decider';

type QueueCommand = Extract<RunCommand, { readonly kind: 'queue' }>;

/** Queues a run of tenant t1 in workspace w1, of which nothing else is told. */
export function queueCommand(at: string, over: Partial<QueueCommand> = {}): QueueCommand {
  return {
    kind: 'queue',
    at,
    workspaceId: 'w1',
    tenantId: 't1',
    type: 'sync',
    initiator: null,
    context: {},
    summaryCounts: null,
    predecessorRunId: null,
    origin: null,
    ...over,
  };
}

/** The payload of the event that such a command leads to. */
export function queuedData(at: string): object {
  const { kind: _, at: occurredAt, ...rest } = queueCommand(at);
  return { occurredAt, ...rest };
}
