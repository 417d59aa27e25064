import { DatabaseError } from 'pg';
import type { Pool, QueryConfig } from 'pg';
import type { ClassifiedRun } from '../classifier/classified-run';
import type { Judge } from '../domain/classification';
import type { EventStore } from '../event-store/event-store';
import type { StoredEvent } from '../events/operation-run-events';
import { comparePositions, formatPosition } from '../events/position';
import type { Position } from '../events/position';
import { foldBatch } from './fold-batch';
import type { FoldedBatch, ParkedLetter } from './fold-batch';
import { generationById } from './generations';
import type { Generation } from './generations';
import { DiscardedEvents } from './discarded-events';
import { loadParkedStreams } from './parked-streams';
import { RunStates } from './run-states';
import type { Surface } from './surface';
import { contentOf, tablesOf } from './surface-content';

export interface FoldingOptions {
  readonly pool: Pool;
  readonly store: EventStore;
  readonly surfaces: readonly Surface[];
  readonly judge: Judge;
  /** Runs kept in memory (about 2 KiB each). */
  readonly cachedRuns?: number;
  /** Parked events kept per generation before the projector stops and asks for help. */
  readonly parkedLimit?: number;
}

/** Somebody else moved the checkpoint or the content: what this process has in memory is no longer the truth. */
export class FencedError extends Error {
  override readonly name = 'FencedError';
}

/** The log ends before the checkpoint: it was restored or wiped, and going on would skip what comes below. */
export class CheckpointBeyondTailError extends Error {
  override readonly name = 'CheckpointBeyondTailError';
}

/** So many streams fail that this is no single bad event: going on would hide a broken deployment. */
export class ParkedLimitError extends Error {
  override readonly name = 'ParkedLimitError';
}

export const CACHED_RUNS = 20_000;
const PARKED_LIMIT = 10_000;

/** A stretch of the log, folded; its transaction moves the checkpoint from one end to the other. */
export interface Stretch {
  readonly from: Position;
  readonly to: Position;
  readonly eventCount: number;
}

export interface Folding {
  readonly generation: Generation;
  /**
   * Folds events that come next in the log; the checkpoint is to move to `upTo` (by default the last of them), past
   * events that were left out. From here on memory is ahead of the tables: a transaction that fails ends this folding.
   * Throws ParkedLimitError.
   */
  fold(delivered: readonly StoredEvent[], upTo?: Position): Promise<FoldedBatch & Stretch>;
}

/**
 * A generation opened for folding: memory and tables move together from its checkpoint on. Throws
 * CheckpointBeyondTailError.
 */
export async function openFolding(generationId: number, options: FoldingOptions): Promise<Folding> {
  const { pool, judge, surfaces } = options;
  const generation = await generationById(pool, generationId);
  if (!generation) throw new Error(`there is no generation ${generationId}`);
  if (generation.eventsApplied > 0)
    refuseBeyondTail(generation.id, generation.checkpoint, await options.store.tail());
  const tables = tablesOf(surfaces);
  const states = new RunStates(pool, generation.schema, judge, options.cachedRuns ?? CACHED_RUNS);
  const parked = await loadParkedStreams(pool, generation.schema);
  const discarded = await new DiscardedEvents(pool).refresh();
  let letters = parked.letters;
  let reached = generation.checkpoint;

  return {
    generation,
    async fold(delivered, upTo = delivered.at(-1)!.position) {
      // Delivered once more, it is folded already.
      const events = delivered.filter(({ position }) => comparePositions(position, reached) > 0);
      const known = await states.before(events);
      const stateOf = (runId: string): ClassifiedRun | null => known.get(runId) ?? null;
      const batch = foldBatch(events, {
        stateOf,
        judge,
        isParked: (streamId) => parked.streams.has(streamId),
        discardedIn: discarded.in,
        contentOf: (run) => contentOf(tables, run),
      });
      states.remember(batch.changes);
      for (const streamId of batch.newlyParked) parked.streams.add(streamId);
      letters += batch.letters.length;
      refuseTooManyParked(generation, letters, batch.letters, options.parkedLimit);
      const from = reached;
      if (comparePositions(upTo, reached) > 0) reached = upTo;
      return { ...batch, eventCount: events.length, from, to: reached };
    },
  };
}

/** Throws ParkedLimitError when `total` parked events are more than a generation may have; `newest` are the last of them. */
export function refuseTooManyParked(
  { id }: Pick<Generation, 'id'>,
  total: number,
  newest: readonly ParkedLetter[],
  limit = PARKED_LIMIT,
): void {
  const [first] = newest;
  if (total <= limit || !first) return;
  throw new ParkedLimitError(
    `${total} events of generation ${id} are parked, more than a few bad ones: ` +
      `see \`opstruth parked list\`; first of this batch: ${first.event.streamId}, ${first.cause ?? 'behind an earlier one'}`,
  );
}

/** Raised by `move_checkpoint` (migrations/0009). */
const MOVED_BY_ANOTHER = 'OT001';

/**
 * Compare-and-set of the checkpoint, the first statement of a batch's transaction. Where it is refused PostgreSQL refuses
 * the rest of the transaction too: `fencedOr` tells what has happened.
 */
export function moveCheckpoint({ id, epoch }: Generation, { from, to, eventCount }: Stretch): QueryConfig {
  return {
    name: 'move checkpoint',
    text: 'select opstruth.move_checkpoint($1, $2, $3, $4, $5, $6, $7)',
    values: [id, epoch, from.commit, from.prepare, to.commit, to.prepare, eventCount],
  };
}

/** Why a transaction that began with `moveCheckpoint` failed: FencedError, or the error itself. */
export function fencedOr(error: unknown): unknown {
  const fenced = error instanceof DatabaseError && error.code === MOVED_BY_ANOTHER;
  return fenced ? new FencedError(error.message, { cause: error }) : error;
}

/** Throws CheckpointBeyondTailError when a generation has read further than the log goes now. */
export function refuseBeyondTail(id: number, reached: Position, tail: Position): void {
  // The tail that a reader may see trails the newest commits for as long as an older transaction runs, but what has
  // been projected was visible once, and what was visible stays so.
  if (comparePositions(reached, tail) > 0)
    throw new CheckpointBeyondTailError(
      `generation ${id} is at ${formatPosition(reached)}, but the log ends at ` +
        `${formatPosition(tail)}: the event store was restored or replaced; restore the read side with it, or build a new generation`,
    );
}
