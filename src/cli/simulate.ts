import { uuidOf } from '../commands/command-ids';
import { isAccepted } from '../commands/command-result';
import type { CommandEnvelope } from '../commands/command-result';
import { RunCommandExecutor } from '../commands/run-command-executor';
import { counted } from '../tools/counted';
import { addSeconds, isLater } from '../events/instant';
import { commandLine } from '../simulator/command-line';
import { simulateWorkload } from '../simulator/workload';
import type { SimulatedCommand } from '../simulator/workload';
import { writeLines } from './output';
import type { Output } from './output';
import { withRuntime } from './with-runtime';

export interface SimulateFlags {
  readonly runs: number;
  readonly seed: number;
  readonly hours: number;
  readonly ndjson?: boolean;
}

const BATCH = 1_000;
const ACTOR = 'simulator';

/**
 * A seeded workload of the last `hours` through the command executor, into the log of the configured database. With
 * `ndjson` it prints the commands instead, as `import --ndjson` takes them.
 */
export async function simulate(output: Output, { runs, seed, hours, ndjson }: SimulateFlags): Promise<void> {
  if (ndjson) {
    await writeLines(commandLines(history(runs, seed, hours, new Date().toISOString())));
    return;
  }
  await withRuntime({ migrate: true }, async ({ store, live, discarded, clock }) => {
    const executor = new RunCommandExecutor({
      store,
      judge: () => live.current(),
      discards: discarded,
    });
    const correlationId = uuidOf('simulation', String(seed), clock.now());
    const bar = output.progress('simulating', 'runs', runs);
    const tally = { commands: 0, events: 0, refused: 0, runs: 0 };
    const started = Date.now();
    let batch: CommandEnvelope[] = [];
    const flush = async () => {
      const results = await executor.executeMany(batch);
      tally.commands += batch.length;
      tally.runs += batch.filter(({ command }) => command.kind === 'queue').length;
      for (const result of results) {
        if (result.kind === 'failed') throw result.error;
        if (isAccepted(result)) tally.events += result.eventTypes.length;
        else tally.refused += 1;
      }
      batch = [];
      bar.update(tally.runs);
    };
    for (const { runId, command } of history(runs, seed, hours, clock.now())) {
      const commandId = uuidOf(correlationId, String(tally.commands + batch.length));
      batch.push({ runId, command, commandId, actor: ACTOR, plane: 'worker', correlationId });
      if (batch.length === BATCH) await flush();
    }
    if (batch.length > 0) await flush();
    bar.stop();
    const seconds = (Date.now() - started) / 1000;
    output.result({ ...tally, seconds }, () => [
      `${counted(tally.runs, 'run')}, ${counted(tally.commands, 'command')}, ${counted(tally.events, 'event')} ` +
        `in ${seconds.toFixed(1)} s (${Math.round(tally.events / seconds)} events/s), ` +
        `${counted(tally.refused, 'command')} refused`,
    ]);
  });
}

function* commandLines(steps: Iterable<SimulatedCommand>): Iterable<string> {
  for (const step of steps) yield JSON.stringify(commandLine(step));
}

function* history(runs: number, seed: number, hours: number, now: string) {
  const workload = simulateWorkload({
    seed,
    runs,
    start: addSeconds(now, -hours * 3600),
    meanGapSeconds: (hours * 3600) / runs,
    workspaces: 5,
    tenantsPerWorkspace: 20,
    meanRunSeconds: 240,
    heartbeatSeconds: 60,
    idPrefix: `sim-${uuidOf('simulation', String(seed), now).slice(0, 8)}-`,
  });
  for (const step of workload) if (!isLater(step.command.at, now)) yield step;
}
