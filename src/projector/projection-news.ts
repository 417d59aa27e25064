import type { Pool, QueryConfig } from 'pg';
import { createWakeUp } from '../event-store/wake-up';
import type { WakeUp } from '../event-store/wake-up';
import { comparePositions, formatPosition, parsePosition } from '../events/position';
import type { Position } from '../events/position';

const CHANNEL = 'opstruth_projected';

/** Tells every reader, once the transaction commits, how far the generation has come. */
export function tellProjected(generationId: number, position: Position): QueryConfig {
  return {
    name: 'tell projected',
    text: 'select pg_notify($1, $2)',
    values: [CHANNEL, `${generationId} ${formatPosition(position)}`],
  };
}

/** What this process hears of the projectors, wherever they run. */
export interface ProjectionNews extends WakeUp {
  /** How far the generation has come at least; null when nothing has been heard of it. */
  reached(generationId: number): Position | null;
}

export function followProjections(options: {
  readonly pool: Pool;
  readonly onError: (error: Error) => void;
}): ProjectionNews {
  const positions = new Map<number, Position>();
  const wakeUp = createWakeUp({
    ...options,
    channel: CHANNEL,
    onNotification(payload) {
      const [id = '', text = ''] = payload.split(' ');
      const position = parsePosition(text);
      if (!position) return; // from another version: a wake-up like any other
      const known = positions.get(Number(id));
      if (!known || comparePositions(position, known) > 0) positions.set(Number(id), position);
    },
  });
  return { ...wakeUp, reached: (generationId) => positions.get(generationId) ?? null };
}
