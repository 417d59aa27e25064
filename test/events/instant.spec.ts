import { acceptedInstant, addSeconds, instantOf, micros } from '../../src/events/instant';
import { fc } from '../support/properties';

it('took a day that no calendar has for one of the next month', () => {
  for (const text of [
    '2025-02-30T00:00:00Z',
    '2025-02-29T00:00:00Z',
    '1900-02-29T00:00:00Z',
    '2025-04-31T12:00:00+02:00',
  ])
    expect(() => micros(text)).toThrow(RangeError);
  expect(acceptedInstant('2024-02-29T00:00:00Z')).toBe('2024-02-29T00:00:00.000Z');
  expect(acceptedInstant('2000-02-29T00:00:00Z')).toBe('2000-02-29T00:00:00.000Z');
});

it('is the same in its canonical text and in any other', () => {
  const accepted = { min: Date.UTC(1700, 0, 1) * 1000, max: Date.UTC(2200, 0, 1) * 1000 - 1 };
  fc.assert(
    fc.property(fc.integer(accepted), (epochMicros) => {
      const canonical = instantOf(epochMicros);
      expect(micros(canonical)).toBe(epochMicros);
      expect(micros(canonical.replace('Z', '+00:00'))).toBe(epochMicros);
    }),
  );
});

it('gave microseconds that were not exact', () => {
  expect(micros('2255-06-05T23:47:34.740991Z')).toBe(Number.MAX_SAFE_INTEGER);
  for (const text of ['2255-06-05T23:47:34.740992Z', '9999-12-31T23:59:59Z', '0000-01-01T00:00:00Z'])
    expect(() => micros(text)).toThrow(RangeError);
});

it('took instants that PostgreSQL has no text for, or from which no deadline could be counted', () => {
  const beyond = [
    '0000-06-01T00:00:00Z',
    '0000-01-01T00:00:00+14:00',
    '9999-12-31T23:59:59-14:00',
    '1699-12-31T23:59:59.999999Z',
    '1700-01-01T00:00:00+00:01',
    '2200-01-01T00:00:00Z',
    '2199-12-31T23:59:00-00:01',
  ];
  for (const text of beyond) expect(acceptedInstant(text)).toBeNull();
  expect(acceptedInstant('1700-01-01T00:00:00Z')).toBe('1700-01-01T00:00:00.000Z');
  const last = acceptedInstant('2199-12-31T23:59:59.999999Z')!;
  const tenYears = 10 * 365 * 86_400;
  expect(micros(addSeconds(last, tenYears))).toBe(micros(last) + tenYears * 1_000_000);
});
