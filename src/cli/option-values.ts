import { InvalidArgumentError } from 'commander';
import { LARGEST_INT } from '../db/largest-int';
import { ACCEPTED_INSTANT, acceptedInstant, nearestAcceptedInstant } from '../events/instant';
import type { Instant } from '../events/instant';
import { parseUntil } from '../replay/replay-requests';
import type { StartRequest } from '../replay/replays';

// What may stand behind a flag, of every verb alike. Anything else is wrong usage, told with the flag's name.

/** Ids above all; of anything else LARGEST_INT is more than enough. */
export function positive(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > LARGEST_INT)
    throw new InvalidArgumentError(`must be a whole number from 1 to ${LARGEST_INT}`);
  return value;
}

export function percent(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !(value >= 0 && value <= 100))
    throw new InvalidArgumentError('must be a number from 0 to 100');
  return value;
}

export function named(text: string): string {
  if (text.trim() === '') throw new InvalidArgumentError('must not be empty');
  return text;
}

export function instant(text: string): Instant {
  const accepted = acceptedInstant(text);
  if (accepted === null) throw new InvalidArgumentError(`must be ${ACCEPTED_INSTANT}`);
  return accepted;
}

/** An instant to look from, however far: see `nearestAcceptedInstant`. */
export function asOf(text: string): Instant {
  const nearest = nearestAcceptedInstant(text);
  if (nearest === null)
    throw new InvalidArgumentError('must be an ISO 8601 instant with a zone, such as 2026-01-31T12:00:00Z');
  return nearest;
}

/** Where a historical generation ends. */
export function end(text: string): NonNullable<StartRequest['until']> {
  const until = parseUntil(text);
  if (!until) throw new InvalidArgumentError(`must be ${ACCEPTED_INSTANT}, or a position such as 123.4`);
  return until;
}

/** Of a flag that may be given several times. */
export function collect(value: string, before: string[]): string[] {
  return [...before, value];
}
