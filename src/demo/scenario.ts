import { addSeconds, isLater, micros } from '../events/instant';
import type { Clock, Instant } from '../events/instant';
import { commandLine } from '../simulator/command-line';
import { simulateWorkload } from '../simulator/workload';
import type { SimulatedCommand, WorkloadOptions } from '../simulator/workload';
import type { ApiClient } from './api-client';

export interface DemoApis {
  readonly admin: ApiClient;
  readonly system: ApiClient;
}

const HISTORY_SECONDS = 3 * 3600;
const BATCH = 500;
const RETRIES = 6;

/** A busy platform's last three hours, ending now: some of its runs are still at work, and some have gone silent. */
export function demoWorkload(seed: number, runs: number, now: Instant): WorkloadOptions {
  return {
    seed,
    runs,
    start: addSeconds(now, -HISTORY_SECONDS),
    meanGapSeconds: HISTORY_SECONDS / runs,
    workspaces: 3,
    tenantsPerWorkspace: 4,
    meanRunSeconds: 420,
    heartbeatSeconds: 60,
    idPrefix: `demo-${Math.floor(micros(now) / 1_000_000).toString(36)}-`,
  };
}

/** The workload cut at `now`: what has happened, and what is to come in order of time. */
export function cutAt(
  options: WorkloadOptions,
  now: Instant,
): { past: SimulatedCommand[]; future: SimulatedCommand[] } {
  const past: SimulatedCommand[] = [];
  const future: SimulatedCommand[] = [];
  for (const step of simulateWorkload(options)) (isLater(step.command.at, now) ? future : past).push(step);
  return { past, future };
}

/** Sends commands in order through the batch route; a command that the decider refuses is counted, as a worker would. */
export async function send(
  { admin }: DemoApis,
  commands: readonly SimulatedCommand[],
  onProgress: (sent: number) => void,
): Promise<{ sent: number; refused: number }> {
  let refused = 0;
  for (let from = 0; from < commands.length; from += BATCH) {
    const batch = commands.slice(from, from + BATCH);
    const { results } = await admin.post<{ results: { status: number }[] }>('/operation-runs:batch', {
      commands: batch.map(commandLine),
    });
    refused += results.filter(({ status }) => status >= 400).length;
    onProgress(from + batch.length);
  }
  return { sent: commands.length, refused };
}

interface RunRow {
  readonly runId: string;
  readonly lineage: unknown;
}

/** Looks in a row that must find the same runs before the reconciler counts as done with the past. */
const STEADY_LOOKS = 4;

/** Waits (bounded) until the reconciler has failed the runs that were long silent, and answers up to 200 of them. */
export async function reconciledRuns(
  { system }: DemoApis,
  idPrefix: string,
  pause: () => Promise<void>,
): Promise<RunRow[]> {
  let rows: RunRow[] = [];
  let steady = 0;
  for (let look = 0; look < 60 && steady < STEADY_LOOKS; look++) {
    const { data } = await system.get<{ data: { rows: RunRow[] } }>(
      '/system/ops/runs?lineage=reconciled_stale&limit=200',
    );
    // Of this demo: an earlier one on the same data has left its own.
    const own = data.rows.filter(({ runId }) => runId.startsWith(idPrefix));
    steady = rows.length > 0 && own.length === rows.length ? steady + 1 : 0;
    rows = own;
    await pause();
  }
  return rows;
}

/** Workers that were given up on report after all: their word is kept as evidence. */
export async function reportLate(apis: DemoApis, runs: readonly RunRow[], clock: Clock): Promise<number> {
  const late = runs.filter((_, index) => index % 3 === 0);
  const commands = late.map(({ runId }): SimulatedCommand => ({
    runId,
    command: {
      kind: 'complete',
      at: clock.now(),
      outcome: 'succeeded',
      summaryCounts: { total: 120, processed: 120 },
      failureSummary: [],
      reasonCode: null,
      reason: null,
    },
  }));
  if (commands.length > 0) await send(apis, commands, () => undefined);
  return late.length;
}

/** An operator retries some of the failed runs; their successors start, and every other one finishes. */
export async function retryFailures(apis: DemoApis, clock: Clock): Promise<number> {
  const { data } = await apis.system.get<{ data: { rows: RunRow[] } }>(
    `/system/ops/failures?limit=${RETRIES * 4}`,
  );
  let retried = 0;
  for (const { runId } of data.rows) {
    if (retried === RETRIES) break;
    const detail = await apis.system.get<{
      data: { decisionZone: { actions: { name: string; allowed: boolean }[] } };
    }>(`/system/ops/runs/${encodeURIComponent(runId)}`);
    if (!detail.data.decisionZone.actions.some(({ name, allowed }) => name === 'retry' && allowed)) continue;
    const { successorRunId } = await apis.system.post<{ successorRunId: string }>(
      `/system/ops/runs/${encodeURIComponent(runId)}/retry`,
      { reason: 'the cause has been mended' },
    );
    const steps: SimulatedCommand[] = [
      { runId: successorRunId, command: { kind: 'start', at: clock.now() } },
    ];
    if (retried % 2 === 0)
      steps.push({
        runId: successorRunId,
        command: {
          kind: 'complete',
          at: clock.now(),
          outcome: 'succeeded',
          summaryCounts: null,
          failureSummary: [],
          reasonCode: null,
          reason: null,
        },
      });
    await send(apis, steps, () => undefined);
    retried += 1;
  }
  return retried;
}
