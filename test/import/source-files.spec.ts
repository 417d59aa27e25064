import { gzipSync } from 'node:zlib';
import { BrokenFileError, contentOf, MAX_LINE_BYTES, readLines } from '../../src/import/file-lines';
import type { Line } from '../../src/import/file-lines';
import { listSourceFiles } from '../../src/import/source-files';
import { sourceFolder } from './source-folder';

const folder = sourceFolder();
afterAll(() => folder.remove());

describe('the files of a folder', () => {
  beforeAll(() => {
    for (const name of [
      'b/2.csv',
      'b/10.csv',
      'b/10.csv.gz',
      'b/._10.csv',
      'a.csv',
      'a[1].csv',
      'b/c/d/3.csv',
    ])
      folder.file(name, ['x']);
    folder.mapping({});
  });

  it.each([
    [['b/*.csv'], ['b/10.csv', 'b/2.csv']],
    [
      ['*.csv', 'b/*'],
      ['a.csv', 'a[1].csv', 'b/10.csv', 'b/10.csv.gz', 'b/2.csv'],
    ],
    [['b/?.csv', './b/2.csv'], ['b/2.csv']],
    [['**/*.csv'], ['a.csv', 'a[1].csv', 'b/10.csv', 'b/2.csv', 'b/c/d/3.csv']],
    [['b/**/3.csv'], ['b/c/d/3.csv']],
    [['b/[!2]*.csv'], ['b/10.csv']],
    [['*'], ['a.csv', 'a[1].csv']],
    [['absent/*'], []],
    [['a.csv/*'], []],
  ])('match %j in name order', async (globs, expected) => {
    const files = await listSourceFiles(folder.path, globs);
    expect(files.map(({ name }) => name)).toEqual(expected);
  });
});

describe('the lines of a file', () => {
  async function read(
    content: Buffer,
  ): Promise<{ lines: Line[]; broken: BrokenFileError | null; bytes: number }> {
    folder.file('lines', content);
    const lines: Line[] = [];
    let bytes = 0;
    try {
      for await (const batch of readLines(contentOf(`${folder.path}/lines`), (more) => (bytes += more)))
        lines.push(...batch);
    } catch (error) {
      if (error instanceof BrokenFileError) return { lines, broken: error, bytes };
      throw error;
    }
    return { lines, broken: null, bytes };
  }
  const numbered = Array.from(
    { length: 30_000 },
    (_, index) => `zeile ${index} ä€😀 ${'x'.repeat(index % 50)}`,
  );
  const texts = (lines: readonly Line[]) => lines.map(({ text }) => text);

  it('end in LF or CRLF, the last one perhaps in neither; empty ones are only counted', async () => {
    const { lines } = await read(Buffer.from('\uFEFFa\r\n\n\r\nb,\r\nc'));
    expect(lines).toEqual([
      { line: 1, text: 'a', flaw: null },
      { line: 4, text: 'b,', flaw: null },
      { line: 5, text: 'c', flaw: null },
    ]);
  });

  it('survive being cut anywhere by the chunks of the disk', async () => {
    const content = Buffer.from(numbered.join('\n'));
    const { lines, bytes } = await read(content);
    expect(texts(lines)).toEqual(numbered);
    expect(lines.at(-1)?.line).toBe(30_000);
    expect(bytes).toBe(content.length);
  });

  it('are decompressed by content, of several gzip members and with bytes after the last', async () => {
    const half = numbered.length / 2;
    const members = [numbered.slice(0, half), numbered.slice(half)].map((part) =>
      gzipSync(part.join('\n') + '\n'),
    );
    const { lines, broken } = await read(Buffer.concat([...members, Buffer.alloc(100_000)]));
    expect(texts(lines)).toEqual(numbered);
    expect(broken).toBeNull();
  });

  it('are kept up to where a gzip file is cut short', async () => {
    const whole = gzipSync(numbered.join('\n'));
    const { lines, broken } = await read(whole.subarray(0, whole.length / 2));
    expect(lines.length).toBeGreaterThan(10_000);
    expect(texts(lines)).toEqual(numbered.slice(0, lines.length));
    expect(broken?.message).toContain('unexpected end of file');
    expect(broken?.line).toBe(lines.length + 1);
    // Whatever was decompressed was yielded: the next line is the one that is not whole.
    expect(numbered[lines.length]!.startsWith(broken!.rest.replace(/�+$/, ''))).toBe(true);
  });

  it('are kept when only the checksum of a gzip file is missing', async () => {
    const whole = gzipSync('a\nb\n');
    const { lines, broken } = await read(whole.subarray(0, -8));
    expect(texts(lines)).toEqual(['a', 'b']);
    expect(broken?.line).toBe(3);
  });

  it('are kept up to where a gzip file is damaged', async () => {
    const whole = gzipSync(numbered.join('\n'), { level: 1 });
    whole.fill(0xff, whole.length - 5000, whole.length - 1000);
    const { lines, broken } = await read(whole);
    expect(broken).not.toBeNull();
    // What follows the damage may decompress to anything, and is read as that until the format itself breaks.
    expect(texts(lines.slice(0, 10_000))).toEqual(numbered.slice(0, 10_000));
  });

  it('that are no UTF-8 are told from those that hold the character which stands for that', async () => {
    const { lines } = await read(Buffer.concat([Buffer.from('a\uFFFD\na'), Buffer.from([0xff, 10, 98])]));
    expect(lines.map(({ flaw }) => flaw)).toEqual([null, 'not in UTF-8', null]);
  });

  it('are cut when they have no end', async () => {
    const { lines } = await read(gzipSync(`a\n${'y'.repeat(3 * MAX_LINE_BYTES)}\nb\n`));
    expect(lines.map(({ text, flaw }) => [text.length, flaw])).toEqual([
      [1, null],
      [MAX_LINE_BYTES, `longer than ${MAX_LINE_BYTES} bytes`],
      [1, null],
    ]);
  });

  it('of a file that is not there are none', async () => {
    const reading = readLines(contentOf(`${folder.path}/absent`)).next();
    await expect(reading).rejects.toThrow(/broken at line 1: ENOENT/);
  });
});
