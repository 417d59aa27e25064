import type { StoredEvent } from '../events/operation-run-events';
import { comparePositions } from '../events/position';
import type { Position } from '../events/position';

/** Gives run events after `from` to `take`, at most about `limit`, until it answers false or the log ends. */
export type Scan = (from: Position, limit: number, take: (event: StoredEvent) => boolean) => Promise<void>;

interface Mark {
  readonly position: Position;
  /** Run events from the beginning of the count up to and with this position. */
  readonly events: number;
}

interface Count {
  /** The first is where the count began, the others follow at this distance. */
  readonly marks: Mark[];
  counted: Mark;
}

const MARK_EVERY = 500;
/** Readers far apart have a count each: generations that serve, and one that is being built. */
const COUNTS_KEPT = 4;

/**
 * Counts what lies after a position. The server cannot count, so every event is read to do it; what has been counted
 * once is remembered, and a question of lag every few seconds costs what is new since the one before.
 */
export function createPendingCounter() {
  const counts: Count[] = [];
  const countFor = (from: Position): Count => {
    const known = counts.find((count) => covers(count, from));
    if (known) return known;
    if (counts.length === COUNTS_KEPT) counts.shift();
    const count = begin(from);
    counts.push(count);
    return count;
  };

  return async (
    scan: Scan,
    from: Position,
    limit: number,
  ): Promise<{ events: number; oldestRecordedAt: string | null }> => {
    const count = countFor(from);
    const mark = count.marks.findLast(({ position }) => comparePositions(position, from) <= 0)!;
    let passed = mark.events;
    const oldest: StoredEvent[] = [];
    const distance = comparePositions(mark.position, from) === 0 ? 1 : MARK_EVERY + 1;
    await scan(mark.position, distance, (event) => {
      if (comparePositions(event.position, from) > 0) oldest.push(event);
      else passed += 1;
      return oldest.length === 0;
    });
    const enough = () => count.counted.events - passed >= limit;
    if (oldest.length > 0 && !enough())
      await scan(count.counted.position, limit - (count.counted.events - passed), (event) => {
        // Another count may be under way over the same events.
        if (comparePositions(event.position, count.counted.position) > 0) {
          count.counted = { position: event.position, events: count.counted.events + 1 };
          if (count.counted.events % MARK_EVERY === 0) count.marks.push(count.counted);
        }
        return !enough();
      });
    const events = oldest.length > 0 ? Math.min(limit, count.counted.events - passed) : 0;
    return { events, oldestRecordedAt: oldest[0]?.recordedAt ?? null };
  };
}

function begin(from: Position): Count {
  const counted = { position: from, events: 0 };
  return { marks: [counted], counted };
}

function covers({ marks, counted }: Count, from: Position): boolean {
  return comparePositions(marks[0]!.position, from) <= 0 && comparePositions(from, counted.position) <= 0;
}
