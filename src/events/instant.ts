/**
 * Instants are ISO 8601 UTC strings at the precision of their source (at most microseconds):
 * three fractional digits, or six when the microseconds matter. One canonical text per instant,
 * so equal instants are equal strings; order is decided on `micros`, never on the text.
 */
export type Instant = string;

const ISO = /^(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?(Z|[+-]\d{2}:?\d{2})$/;

/** Canonical, on a day that each month has: all that is ever written but for the 29th to the 31st. */
const USUAL =
  /^(1[7-9]|2[01])\d\d-(0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}(\d{3})?Z$/;

/**
 * Microseconds since the epoch. Throws RangeError on anything that is not an ISO 8601 instant with a zone, and where
 * microseconds are no longer exact: before June 1684 and after June 2255.
 */
export function micros(instant: Instant): number {
  const epochMicros = inexactMicros(instant);
  if (Number.isSafeInteger(epochMicros)) return epochMicros;
  throw new RangeError(`too far from now to be exact: ${JSON.stringify(instant)}`);
}

/** Throws RangeError on what is no instant. Exact wherever a safe integer comes out. */
function inexactMicros(instant: Instant): number {
  // `Date.parse` stops reading at the millisecond.
  if (USUAL.test(instant)) return Date.parse(instant) * 1000 + Number(instant.slice(23, -1));
  const parts = ISO.exec(instant);
  if (!parts) throw new RangeError(`not an ISO 8601 instant with a zone: ${JSON.stringify(instant)}`);
  const millis = isDay(parts[1]!) ? Date.parse(`${parts[1]}T${parts[2]}${parts[4]}`) : NaN;
  if (Number.isNaN(millis)) throw new RangeError(`no such instant: ${JSON.stringify(instant)}`);
  const fraction = parts[3] === undefined ? 0 : Number(parts[3].slice(0, 6).padEnd(6, '0'));
  return millis * 1000 + fraction;
}

/** Whether the month of a date `YYYY-MM-DD` has its day: `Date.parse` takes the 30th of February for the 2nd of March. */
function isDay(date: string): boolean {
  const day = Number(date.slice(8));
  if (day <= 28) return true;
  return day <= new Date(Date.UTC(Number(date.slice(0, 4)), Number(date.slice(5, 7)), 0)).getUTCDate();
}

/** Whether `micros` takes it. Asked of each event that is read, so what is usual is told at a glance. */
export function isInstant(text: string): boolean {
  if (USUAL.test(text)) return true;
  try {
    micros(text);
    return true;
  } catch {
    return false;
  }
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

/**
 * What is taken from outside. Narrower than what is exact, so that a deadline counted from it, ten years later at most, is
 * exact as well; PostgreSQL's timestamptz reaches further than both.
 */
const FIRST_ACCEPTED = Date.UTC(1700, 0, 1) * 1000;
const AFTER_ACCEPTED = Date.UTC(2200, 0, 1) * 1000;

export function isAccepted(epochMicros: number): boolean {
  return epochMicros >= FIRST_ACCEPTED && epochMicros < AFTER_ACCEPTED;
}

/** What `acceptedInstant` takes, for refusals and descriptions. */
export const ACCEPTED_INSTANT =
  'an ISO 8601 instant with a zone, in the years 1700 to 2199, such as 2026-01-31T12:00:00Z';

/** The canonical form of an instant that comes from outside; null when it is none, or none that is taken. */
export function acceptedInstant(text: string): Instant | null {
  const epochMicros = readMicros(text);
  return epochMicros !== null && isAccepted(epochMicros) ? instantOf(epochMicros) : null;
}

/**
 * The same for an instant to look from, as near as is taken: no event lies further away, and no deadline matters to anybody that
 * lies behind it.
 */
export function nearestAcceptedInstant(text: string): Instant | null {
  const epochMicros = readMicros(text);
  if (epochMicros === null) return null;
  return instantOf(Math.min(Math.max(epochMicros, FIRST_ACCEPTED), AFTER_ACCEPTED - 1));
}

function readMicros(text: string): number | null {
  try {
    return inexactMicros(text);
  } catch {
    return null;
  }
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
