import { gzipSync } from 'node:zlib';
import { ImportError } from '../../src/import/import-error';
import { at, importFixture, rejectsIn } from './import-fixture';
import type { ImportFixture } from './import-fixture';
import { EVENT_ROWS, row } from './source-folder';
import type { SourceFolder } from './source-folder';

describe('rows that are not imported', () => {
  let fixture: ImportFixture;
  let folder: SourceFolder;
  beforeAll(async () => {
    fixture = await importFixture();
  });
  beforeEach(async () => {
    await fixture.clear();
    folder = fixture.folder();
    folder.mapping(EVENT_ROWS);
  });
  afterAll(() => fixture.close());

  it('that the decider refuses go to the rejects with its reason', async () => {
    folder.file('events/1.csv', [row(1, 'a', 'Q'), row(2, 'a', 'OK'), row(3, 'a', 'ERR'), row(4, 'a', 'S')]);
    const report = await fixture.import(folder);
    expect(report).toMatchObject({
      rejected: 2,
      rejectedByReason: { illegal_transition: 2 },
      rejectsFile: folder.rejectsPath,
    });
    expect(rejectsIn(folder)).toEqual([
      {
        file: 'events/1.csv',
        line: 3,
        reason: 'illegal_transition: cannot complete run a: it is completed (succeeded)',
        row: row(3, 'a', 'ERR'),
      },
      expect.objectContaining({ line: 4 }),
    ]);
  });

  it('that cannot be read go to the rejects with file, line and reason, and stop nothing', async () => {
    folder.file('events/1.csv', [
      row(1, 'a', 'Q'),
      'x,y',
      row(2, 'a', 'WHAT'),
      '2.5,a,S,w,t,sync,ann',
      '3,,S,w,t,sync,ann',
      row(4, 'b', 'Q', ''),
      '5,c,Q,w,t,,ann',
      `6,${'d'.repeat(191)},Q,w,t,sync,ann`,
      '7,e,Q,w\u0007,t,sync,ann',
      '8,f,Q,w,t,sync,a\0nn',
      row(9, 'a', 'OK'),
    ]);
    const report = await fixture.import(folder);
    expect(await fixture.log()).toEqual([`a: Queued@${at(1)}`, `a: Completed@${at(9)}`]);
    expect(report).toMatchObject({ rows: 11, rejected: 9, rejectedByReason: { unreadable_row: 9 } });
    const reasons = rejectsIn(folder) as { file: string; line: number; reason: string }[];
    expect(reasons.map(({ file, line, reason }) => [file, line, reason])).toEqual(
      [
        '2 fields where 7 columns are named',
        'unknown code "WHAT" in code',
        'time is no time: "2.5"',
        'no run id: run is empty',
        'no workspace',
        'no operation type',
        'the run id is longer than 190 characters',
        'bad workspace: must not contain control characters',
        'contains a NUL character',
      ].map((reason, index) => ['events/1.csv', index + 2, reason]),
    );
  });

  it('made one run of two whose ids were no UTF-8', async () => {
    const latin1 = (id: string, code: string) => `${row(1, id, code)}\n`;
    folder.file(
      'events/1.csv',
      Buffer.from(`${latin1('bücher', 'Q')}${latin1('bäcker', 'Q')}${row(1, 'a', 'Q')}`, 'latin1'),
    );
    expect(await fixture.import(folder)).toMatchObject({ rejected: 2, eventsAppended: 1, queuedAgain: 0 });
    expect(rejectsIn(folder)).toMatchObject([1, 2].map((line) => ({ line, reason: 'not in UTF-8' })));
  });

  it('of a file that is cut short are imported as far as they go', async () => {
    const rows = Array.from({ length: 2_000 }, (_, index) => row(index, `run-${index * 7919}`, 'Q'));
    const whole = gzipSync(rows.join('\n'));
    folder.file('events/1.csv.gz', whole.subarray(0, whole.length - 500));
    folder.file('events/2.csv', [row(9_999, 'last', 'Q')]);
    const report = await fixture.import(folder);
    expect(report.rejectedByReason).toEqual({ unreadable_file: 1 });
    expect(report.eventsAppended).toBeGreaterThan(1_000);
    expect(report.eventsAppended).toBeLessThan(2_001);
    expect((await fixture.factsOf('last')).status).toBe('queued');
    expect(rejectsIn(folder)).toEqual([
      expect.objectContaining({
        file: 'events/1.csv.gz',
        line: report.eventsAppended,
        reason: 'the file cannot be read any further: unexpected end of file',
      }),
    ]);

    folder.file('events/1.csv.gz', whole);
    const again = await fixture.import(folder);
    expect(again).toMatchObject({ eventsAlreadyStored: report.eventsAppended, rejected: 0 });
    expect((await fixture.log()).length).toBe(2_001);
  });

  it('of a folder without any of the files are missed', async () => {
    await expect(fixture.import(folder)).rejects.toThrow(ImportError);
    await expect(fixture.import(folder)).rejects.toThrow(/no file in .* matches events\/\*\.csv\*/);
  });
});
