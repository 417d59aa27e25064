import { eventIdOf, uuidOf } from '../src/commands/command-ids';
import type { Judge } from '../src/domain/classification';
import { decide } from '../src/domain/decider';
import { evolve } from '../src/domain/run-facts';
import type { RunFacts } from '../src/domain/run-facts';
import type { Append, EventStore } from '../src/event-store/event-store';
import { streamOf } from '../src/events/operation-run-events';
import type { NewEvent } from '../src/events/operation-run-events';
import { START } from '../src/events/position';
import { simulateWorkload } from '../src/simulator/workload';
import type { SimulatedCommand, WorkloadOptions } from '../src/simulator/workload';

/**
 * A platform on which ten runs are queued every second and work for 90 seconds, so that nearly a thousand are under way
 * at any time and the events of one run lie far apart in the log: the hard case for whatever works in batches.
 */
export const BENCH_WORKLOAD: WorkloadOptions = {
  seed: 1,
  runs: Number.MAX_SAFE_INTEGER,
  start: '2026-01-01T00:00:00.000Z',
  meanGapSeconds: 0.1,
  workspaces: 20,
  tenantsPerWorkspace: 20,
  meanRunSeconds: 90,
  heartbeatSeconds: 60,
  idPrefix: 'run-',
};

/** The first commands of the benchmark's workload, as many as `enough` lets through. */
export function* benchCommands(enough: () => boolean): Generator<SimulatedCommand> {
  for (const command of simulateWorkload(BENCH_WORKLOAD)) {
    if (enough()) return;
    yield command;
  }
}

/**
 * What the decider makes of commands, as appends of about `chunkSize` events each, one per run in a chunk. Commands that
 * it refuses are left out.
 */
export function* decidedAppends(
  commands: Iterable<SimulatedCommand>,
  judge: Judge,
  chunkSize: number,
): Generator<Append[]> {
  const known = new Map<string, RunFacts>();
  let chunk = new Map<string, Append & { readonly events: NewEvent[] }>();
  let events = 0;
  for (const { runId, command } of commands) {
    const before = known.get(runId) ?? null;
    const decision = decide(before, command, judge);
    if (!decision.accepted) continue;
    let facts = before;
    for (const event of decision.events) {
      const revision = facts?.version ?? 0;
      const streamId = streamOf(runId);
      const commandId = uuidOf('bench', runId, String(revision));
      const eventId = eventIdOf(commandId, 0);
      const metadata = {
        actor: 'bench',
        plane: 'worker',
        commandId,
        correlationId: commandId,
        causationId: commandId,
      } as const;
      facts = evolve(facts, { ...event, eventId, streamId, revision, position: START, metadata });
      const made: NewEvent = { eventId, type: event.type, data: event.data, metadata };
      const append = chunk.get(streamId);
      if (append) append.events.push(made);
      else {
        const expectedRevision = revision === 0 ? 'no_stream' : revision - 1;
        chunk.set(streamId, { streamId, expectedRevision, events: [made] });
      }
      events += 1;
    }
    if (facts) known.set(runId, facts);
    if (events < chunkSize) continue;
    yield [...chunk.values()];
    chunk = new Map();
    events = 0;
  }
  if (chunk.size > 0) yield [...chunk.values()];
}

/** Throws when somebody else writes to the same log. */
export async function appendAll(store: EventStore, appends: readonly Append[]): Promise<void> {
  const results = await store.appendMany(appends);
  const lost = results.findIndex((result) => result.kind === 'conflict');
  if (lost !== -1) throw new Error(`stream ${appends[lost]!.streamId} is not where the benchmark left it`);
}

/** Writes a log of at least `size` events and answers how many there are. */
export async function writeLog(store: EventStore, judge: Judge, size: number): Promise<number> {
  let written = 0;
  for (const appends of decidedAppends(
    benchCommands(() => false),
    judge,
    LOG_CHUNK,
  )) {
    await appendAll(store, appends);
    written += countEvents(appends);
    if (written >= size) return written;
  }
  return written;
}

/** Events in one append call: as the import has them. */
export const LOG_CHUNK = 2_000;

export function countEvents(appends: readonly Append[]): number {
  return appends.reduce((sum, { events }) => sum + events.length, 0);
}
