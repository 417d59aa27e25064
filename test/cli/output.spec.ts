import { PassThrough } from 'node:stream';
import { stripVTControlCharacters } from 'node:util';
import { createOutput, errorText, printable, table } from '../../src/cli/output';

/** Standard error as a terminal or a file has it, and all that was written there. */
function fakeStderr(isTTY: boolean) {
  const stream = Object.assign(new PassThrough(), { isTTY, columns: 120 });
  return {
    stream,
    text: () => stripVTControlCharacters(String((stream.read() as Buffer | null) ?? '')),
  };
}

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

test('a bar tells no time left before it is measured, then one in words', () => {
  const { stream, text } = fakeStderr(true);
  const bar = createOutput(false, stream).progress('loading', 'runs', 24_000);
  bar.update(0);
  jest.advanceTimersByTime(500);
  const before = text();
  expect(before).toMatch(/^loading .* 0 % \| 0\/24000 runs *$/m);
  expect(before).not.toMatch(/left|NF|LL|NaN|undefined/);
  jest.advanceTimersByTime(9_500);
  bar.update(1_000, { note: '7 events' });
  jest.advanceTimersByTime(100);
  expect(text()).toMatch(/ 4 % \| 1000\/24000 runs \| \d\d\/s \| about 3 min \d\d s left 7 events/);
  bar.update(24_000);
  bar.stop();
  expect(text()).toMatch(/ 100 % \| 24000\/24000 runs .* about 0 s left/);
});

test('a phase without a total has neither a percentage nor a bar on a terminal', () => {
  const { stream, text } = fakeStderr(true);
  const bar = createOutput(false, stream).progress('generation 2: indexing', 'runs', 0);
  bar.update(0, { total: 0 });
  jest.advanceTimersByTime(3_000);
  bar.update(0, { total: 0 });
  bar.stop();
  const told = text();
  expect(told).toMatch(/^generation 2: indexing$/m);
  expect(told).not.toMatch(/%|0\/0|left|[█▓▒░]/);
});

test('without a terminal lines say how much is left once something was done, and never zero before', () => {
  const { stream, text } = fakeStderr(false);
  const output = createOutput(false, stream);
  const progress = output.progress('loading', 'runs', 100);
  jest.advanceTimersByTime(2_000);
  progress.update(0);
  expect(text()).toBe('loading: 0/100 runs\n');
  jest.advanceTimersByTime(2_000);
  progress.update(25);
  expect(text()).toBe('loading: 25/100 runs, 6/s, about 12 s left\n');
  const uncounted = output.progress('reading', 'rows', 0);
  jest.advanceTimersByTime(2_000);
  uncounted.update(10, { note: '3 events' });
  expect(text()).toBe('reading: 10 rows, 5/s 3 events\n');
});

test('with --json nothing is shown', () => {
  for (const isTTY of [true, false]) {
    const { stream, text } = fakeStderr(isTTY);
    const progress = createOutput(true, stream).progress('loading', 'runs', 100);
    jest.advanceTimersByTime(5_000);
    progress.update(50);
    progress.stop();
    expect(text()).toBe('');
  }
});

test('words of others steered the terminal, tore tables apart and turned lines around', () => {
  const reason = 'line1\nline2\t\u001b[31mred \u202eeurt';
  const shown = 'line1\\nline2\\t\\u001b[31mred \\u202eeurt';
  expect(printable(reason)).toBe(shown);
  expect(table(['reason', 'by'], [[reason, 'olga']])).toEqual([
    `reason${' '.repeat(shown.length - 4)}by`,
    `${shown}  olga`,
  ]);
  expect(errorText(false, `the first line\n  \u001b[2J`)).toBe('the first line\n  \\u001b[2J\n');
  expect(printable('Öl, 漢字 and 🙂')).toBe('Öl, 漢字 and 🙂');
  const write = jest.spyOn(process.stdout, 'write').mockImplementation(() => true);
  createOutput(false).result(null, () => [`run ${reason}`]);
  createOutput(true).result({ reason }, () => []);
  const told = write.mock.calls.map(([text]) => String(text));
  write.mockRestore();
  expect(told).toEqual([`run ${shown}\n`, `${JSON.stringify({ reason }, null, 2)}\n`]);
});
