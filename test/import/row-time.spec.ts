import { instantOf } from '../../src/events/instant';
import { timeReader } from '../../src/import/row-time';

describe('the time of a row', () => {
  const trace = timeReader({ kind: 'microseconds', epoch: '2011-05-01T22:50:00.000Z' });
  const iso = timeReader({ kind: 'iso8601', assume: 'UTC' });
  const read = (reader: typeof iso, text: string) => {
    const micros = reader(text);
    return micros === null ? null : instantOf(micros);
  };

  it.each([
    ['0', '2011-05-01T22:50:00.000Z'],
    ['5611824441', '2011-05-02T00:23:31.824441Z'],
    ['-1', '2011-05-01T22:49:59.999999Z'],
    ['', null],
    ['1.5', null],
    ['0x10', null],
    // The trace's own mark for "after the trace" is beyond any instant.
    ['9223372036854775807', null],
  ])('in microseconds %j is %s', (text, expected) => expect(read(trace, text)).toBe(expected));

  it.each([
    ['2024-02-29T01:02:03Z', '2024-02-29T01:02:03.000Z'],
    ['2024-02-29T01:02:03.123456', '2024-02-29T01:02:03.123456Z'],
    ['2024-02-29 01:02:03.5', '2024-02-29T01:02:03.500Z'],
    ['2024-02-29T01:02:03+02:00', '2024-02-28T23:02:03.000Z'],
    ['2024-02-29 01:02:03.25+00', '2024-02-29T01:02:03.250Z'],
    ['2024-02-29T01:02', '2024-02-29T01:02:00.000Z'],
    ['2024-02-29', '2024-02-29T00:00:00.000Z'],
    ['2023-02-29', null],
    ['2200-01-01T00:00:00Z', null],
    ['2024-13-01T00:00:00Z', null],
    ['2024-01-01T25:00:00Z', null],
    ['29.02.2024', null],
    ['', null],
    ['Unknown', null],
  ])('in ISO 8601 %j is %s', (text, expected) => expect(read(iso, text)).toBe(expected));
});
