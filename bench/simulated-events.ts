import { setTimeout } from 'node:timers/promises';
import { eventIdOf, uuidOf } from '../src/commands/command-ids';
import type { Judge } from '../src/domain/classification';
import { decide } from '../src/domain/decider';
import { evolve } from '../src/domain/run-facts';
import type { RunFacts } from '../src/domain/run-facts';
import type { Append, EventStore } from '../src/event-store/event-store';
import { recordedAt, streamOf } from '../src/events/operation-run-events';
import type { NewEvent } from '../src/events/operation-run-events';
import { comparePositions, START } from '../src/events/position';
import type { Position } from '../src/events/position';
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
      facts = evolve(facts, recordedAt(event, { eventId, streamId, revision, position: START, metadata }));
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

/** Answers the newest position. Throws when somebody else writes to the same log. */
export async function appendAll(store: EventStore, appends: readonly Append[]): Promise<Position> {
  const results = await store.appendMany(appends);
  let newest = START;
  for (const [index, result] of results.entries()) {
    if (result.kind !== 'appended')
      throw new Error(`stream ${appends[index]!.streamId} is not where the benchmark left it`);
    if (comparePositions(result.position, newest) > 0) newest = result.position;
  }
  return newest;
}

/** Writes a log of at least `size` events, waits until readers see them all, and answers how many there are. */
export async function writeLog(store: EventStore, judge: Judge, size: number): Promise<number> {
  let written = 0;
  let newest = START;
  for (const appends of decidedAppends(
    benchCommands(() => false),
    judge,
    LOG_CHUNK,
  )) {
    newest = await appendAll(store, appends);
    written += countEvents(appends);
    if (written >= size) break;
  }
  await untilReadable(store, newest);
  return written;
}

/** Readers stop before the events of a transaction that may still run, anyone's on the same server. */
async function untilReadable(store: EventStore, position: Position): Promise<void> {
  while (comparePositions(await store.tail(), position) < 0) await setTimeout(5);
}

/** Events in one append call: as the import has them. */
export const LOG_CHUNK = 2_000;

export function countEvents(appends: readonly Append[]): number {
  return appends.reduce((sum, { events }) => sum + events.length, 0);
}
