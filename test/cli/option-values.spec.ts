import { InvalidArgumentError } from 'commander';
import { asOf, end, instant, percent, positive } from '../../src/cli/option-values';

test('an instant is taken in its canonical form, an end may be a position too', () => {
  expect(instant('2026-01-31T13:00:00+01:00')).toBe('2026-01-31T12:00:00.000Z');
  expect(asOf('9999-12-31T23:59:59Z')).toBe('2199-12-31T23:59:59.999999Z');
  expect(end('2026-01-31T12:00:00Z')).toEqual({ at: '2026-01-31T12:00:00.000Z' });
  expect(end('123.4')).toEqual({ position: { commit: 123n, prepare: 4n } });
});

test.each([
  [instant, 'noon', 'ISO 8601'],
  [instant, '2026-01-31T12:00:00', 'with a zone'],
  [instant, '123.4', 'ISO 8601'],
  [instant, '2025-02-30T12:00:00Z', 'ISO 8601'],
  [asOf, 'noon', 'ISO 8601'],
  [end, '9999-12-31T23:59:59Z', 'in the years 1700 to 2199'],
  [end, 'noon', 'or a position'],
  [percent, '101', 'from 0 to 100'],
  [percent, '', 'from 0 to 100'],
  [positive, '0', 'whole number'],
  [positive, '1.5', 'whole number'],
])('%p of %p is wrong usage for every verb alike', (parse: (text: string) => unknown, text, words) => {
  expect(() => parse(text)).toThrow(InvalidArgumentError);
  expect(() => parse(text)).toThrow(words);
});
