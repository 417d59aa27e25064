import type { SimulatedCommand } from './workload';

/** A simulated command as the batch route and NDJSON imports take it: the route's body plus `command` and `runId`. */
export function commandLine({ runId, command }: SimulatedCommand): Record<string, unknown> {
  const { kind, at, ...fields } = command;
  const body = Object.entries(fields).filter(
    ([name, value]) => value !== null && name !== 'origin' && name !== 'predecessorRunId',
  );
  return { command: kind, runId, occurredAt: at, ...Object.fromEntries(body) };
}
