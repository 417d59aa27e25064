import { isAccepted, micros } from '../events/instant';
import type { ImportMapping } from './mapping';

/** Microseconds since the epoch that a row's time stands for; null when the text is no such time. */
export type TimeReader = (text: string) => number | null;

const PARTS =
  /^(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}:\d{2})(:\d{2})?(\.\d{1,9})?(Z|[+-]\d{2}(?::?\d{2})?)?)?$/;

/** How a mapping's rows write their times. */
export function timeReader(time: ImportMapping['time']): TimeReader {
  switch (time.kind) {
    case 'microseconds': {
      const epochMicros = micros(time.epoch);
      return (text) => (/^-?\d{1,19}$/.test(text) ? accepted(epochMicros + Number(text)) : null);
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
  const fullZone = zone.length === 3 ? `${zone}:00` : zone;
  try {
    return accepted(micros(`${year}-${month}-${day}T${minutes}${seconds}${fraction}${fullZone}`));
  } catch {
    return null;
  }
}

function accepted(epochMicros: number): number | null {
  return isAccepted(epochMicros) ? epochMicros : null;
}
