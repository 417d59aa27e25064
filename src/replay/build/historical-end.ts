import { micros } from '../../events/instant';
import type { StoredEvent } from '../../events/operation-run-events';
import type { Generation } from '../../projector/generations';

/**
 * Tells whether an event came later at its source than what a historical generation by instant shows. Such an event is left
 * out, and whatever follows it in its stream. Of any other generation no event is.
 */
export function beyondEnd({ untilAt }: Pick<Generation, 'untilAt'>): (event: StoredEvent) => boolean {
  if (untilAt === null) return () => false;
  const end = micros(untilAt);
  return ({ data }) => {
    // An event without a readable time is kept, so that it is parked and seen; its payload may be `null` itself.
    const occurredAt = (data as { occurredAt?: unknown } | null)?.occurredAt;
    return typeof occurredAt === 'string' && microsOr(occurredAt, end) > end;
  };
}

function microsOr(text: string, otherwise: number): number {
  try {
    return micros(text);
  } catch {
    return otherwise;
  }
}
