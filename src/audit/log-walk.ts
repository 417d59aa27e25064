import type { Pool } from 'pg';
import { inSnapshot } from '../db/transaction';
import type { EventStore } from '../event-store/event-store';
import { isRunStream, runIdOf } from '../events/operation-run-events';
import type { StoredEvent } from '../events/operation-run-events';
import { comparePositions, START } from '../events/position';
import type { Position } from '../events/position';
import { isHistorical } from '../projector/generations';
import type { Generation } from '../projector/generations';
import { somePosition } from './audit-sample';

interface LogWalkRequest {
  readonly generation: Generation;
  /** How many events are looked at; null for all of them. */
  readonly events: number | null;
  readonly random: () => number;
}

/**
 * A way through what a generation has read of the log, for the runs that it speaks of: a sample that is drawn from what the
 * generation holds never finds what it has lost. Begins at a random place, and goes on from the log's beginning where it ends.
 */
export class LogWalk {
  private at: Position;
  private hasTurned = false;

  private constructor(
    private readonly store: Pick<EventStore, 'readAll'>,
    private readonly upTo: Position,
    private readonly begunAt: Position,
    private left: number,
  ) {
    this.at = begunAt;
  }

  static async begin(
    { pool, store }: { readonly pool: Pool; readonly store: Pick<EventStore, 'readAll'> },
    { generation, events, random }: LogWalkRequest,
  ): Promise<LogWalk> {
    const { schema, checkpoint } = generation;
    // Where a historical generation ends in the middle of the log is known only run by run.
    if (isHistorical(generation)) return new LogWalk(store, START, START, 0);
    if (events === null) return new LogWalk(store, checkpoint, START, Number.POSITIVE_INFINITY);
    const from = await inSnapshot(pool, (client) => somePosition(client, schema, events, random));
    return new LogWalk(store, checkpoint, from, events);
  }

  get isOver(): boolean {
    return this.left <= 0;
  }

  /** Up to `most` further events. */
  async next(most: number): Promise<StoredEvent[]> {
    const size = Math.min(most, this.left);
    if (size <= 0) return [];
    const end = this.hasTurned ? this.begunAt : this.upTo;
    const read = await this.store.readAll(this.at, size);
    const events = read.filter(({ position }) => comparePositions(position, end) <= 0);
    this.left -= events.length;
    if (events.length === size) this.at = events.at(-1)!.position;
    else if (this.hasTurned || comparePositions(this.begunAt, START) === 0) this.left = 0;
    else {
      this.hasTurned = true;
      this.at = START;
    }
    return events;
  }

  /** All that are left. */
  async rest(): Promise<StoredEvent[]> {
    const events: StoredEvent[] = [];
    while (!this.isOver) events.push(...(await this.next(this.left)));
    return events;
  }
}

/** The runs that events speak of, each once. */
export function runsOf(events: readonly StoredEvent[]): string[] {
  const streams = new Set(events.map(({ streamId }) => streamId));
  return [...streams].filter(isRunStream).map(runIdOf);
}
