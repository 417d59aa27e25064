/**
 * Instants are ISO 8601 UTC strings at the precision of their source (at most microseconds):
 * three fractional digits, or six when the microseconds matter. One canonical text per instant,
 * so equal instants are equal strings; order is decided on `micros`, never on the text.
 */
export type Instant = string;

const ISO = /^(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?(Z|[+-]\d{2}:?\d{2})$/;

/** Microseconds since the epoch, exact up to the year 2255. Throws RangeError on anything that is not an ISO 8601 instant with a zone. */
export function micros(instant: Instant): number {
  const parts = ISO.exec(instant);
  if (!parts) throw new RangeError(`not an ISO 8601 instant with a zone: ${JSON.stringify(instant)}`);
  const seconds = Date.parse(`${parts[1]}T${parts[2]}${parts[4]}`);
  if (Number.isNaN(seconds)) throw new RangeError(`no such instant: ${JSON.stringify(instant)}`);
  const fraction = parts[3] === undefined ? 0 : Number(parts[3].slice(0, 6).padEnd(6, '0'));
  return seconds * 1000 + fraction;
}

/** The canonical text of an instant given in microseconds since the epoch. */
export function instantOf(epochMicros: number): Instant {
  const millis = Math.floor(epochMicros / 1000);
  const rest = epochMicros - millis * 1000;
  const text = new Date(millis).toISOString();
  return rest === 0 ? text : `${text.slice(0, -1)}${String(rest).padStart(3, '0')}Z`;
}

/** Any ISO 8601 text with a zone, in its canonical form. Digits below a microsecond are dropped. */
export function canonicalInstant(text: string): Instant {
  return instantOf(micros(text));
}

export function addSeconds(instant: Instant, seconds: number): Instant {
  return instantOf(micros(instant) + Math.round(seconds * 1_000_000));
}

export function isLater(a: Instant, b: Instant): boolean {
  return micros(a) > micros(b);
}

/** The system's clock, injected everywhere a present is needed. */
export interface Clock {
  now(): Instant;
}

export const systemClock: Clock = { now: () => new Date().toISOString() };
