import { decodeCursor, encodeCursor } from '../../src/http/cursor';
import { Problem } from '../../src/http/problem';

const keyset = { sortAt: '2026-03-01T12:00:00.123456Z', runId: 'run/1=é' };
const filter = { problemClass: ['terminal_follow_up', 'none'], workspace: ['w1'], sort: 'newest' };

function codeOf(decode: () => unknown): string {
  try {
    decode();
  } catch (error) {
    if (error instanceof Problem) return error.code;
    throw error;
  }
  return 'accepted';
}

describe('a cursor', () => {
  test('gives back its place, to the microsecond', () => {
    expect(decodeCursor(encodeCursor(keyset, 'runs', filter), 'runs', filter)).toEqual(keyset);
  });

  test('belongs to the filter however it is written, and outlives a change of where and when one looks', () => {
    const cursor = encodeCursor(keyset, 'runs', filter);
    const same = {
      sort: 'newest',
      workspace: ['w1'],
      problemClass: ['none', 'terminal_follow_up'],
      tenant: undefined,
      type: [],
      asOf: '2026-03-02T00:00:00.000Z',
      limit: 7,
      cursor,
      from: 'tenant-dashboard',
      minPosition: '1.2',
    };
    expect(decodeCursor(cursor, 'runs', same)).toEqual(keyset);
  });

  test.each([
    ['another list', 'stuck', filter],
    ['another filter value', 'runs', { ...filter, workspace: ['w2'] }],
    ['one value more', 'runs', { ...filter, workspace: ['w1', 'w2'] }],
    ['another direction', 'runs', { ...filter, sort: 'oldest' }],
    ['no filter', 'runs', {}],
  ])('is refused on %s', (_, list, other) => {
    const cursor = encodeCursor(keyset, 'runs', filter);
    expect(codeOf(() => decodeCursor(cursor, list, other))).toBe('cursor_of_another_filter');
  });

  const good = encodeCursor(keyset, 'runs', filter);
  const text = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  test.each([
    ['cut', good.slice(0, -5)],
    ['not base64url', `${good}=`],
    ['empty', ''],
    ['no JSON', Buffer.from('hello').toString('base64url')],
    ['of another shape', text({ sortAt: keyset.sortAt })],
    ['without a time', text(['digest', 'yesterday', 'run'])],
    ['with a member too many', text(['digest', keyset.sortAt, 'run', 1])],
  ])('%s is not one', (_, cursor) => {
    expect(codeOf(() => decodeCursor(cursor, 'runs', filter))).toBe('invalid_cursor');
  });
});
