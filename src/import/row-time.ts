import { micros } from '../events/instant';
import type { ImportMapping } from './mapping';

/** Microseconds since the epoch that a row's time stands for; null when the text is no such time. */
export type TimeReader = (text: string) => number | null;

const PARTS =
  /^(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}:\d{2})(:\d{2})?(\.\d{1,9})?(Z|[+-]\d{2}(?::?\d{2})?)?)?$/;

/** How a mapping's rows write their times. Times stay exact to the microsecond, so the years end at 2255. */
export function timeReader(time: ImportMapping['time']): TimeReader {
  switch (time.kind) {
    case 'microseconds': {
      const epochMicros = micros(time.epoch);
      return (text) => (/^-?\d{1,19}$/.test(text) ? exact(epochMicros + Number(text)) : null);
    }
    case 'iso8601':
      return readIso8601;
  }
}

/** A time without a zone is UTC; a date alone is its midnight. */
function readIso8601(text: string): number | null {
  const parts = PARTS.exec(text);
  if (!parts) return null;
  const [, year, month, day, minutes = '00:00', seconds = ':00', fraction = '', zone = 'Z'] = parts;
  if (Number(day) > daysIn(Number(year), Number(month))) return null;
  const fullZone = zone.length === 3 ? `${zone}:00` : zone;
  try {
    return exact(micros(`${year}-${month}-${day}T${minutes}${seconds}${fraction}${fullZone}`));
  } catch {
    return null;
  }
}

/** `Date.parse` takes the 30th of February for the 1st of March. */
function daysIn(year: number, month: number): number {
  return new Date(Date.UTC(year, month, 0)).getUTCDate();
}

function exact(epochMicros: number): number | null {
  return Number.isSafeInteger(epochMicros) ? epochMicros : null;
}
