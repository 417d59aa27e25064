import { gzipSync } from 'node:zlib';
import { queueCommand } from '../support/queue-command';
import { importFixture, rejectsIn } from './import-fixture';
import type { ImportFixture } from './import-fixture';
import { RUN_ROWS } from './source-folder';
import type { SourceFolder } from './source-folder';

/** A row with times of one minute, such as `05`, on the 1st of January 2020. */
function run(
  id: string,
  [submitted, began, ended]: readonly [string, string, string],
  state = 'OK',
  node = 'n1',
) {
  const time = (minute: string) => (minute === '' ? '' : `2020-01-01 00:${minute}:00.000001`);
  return [id, 'w', 't', 'sync', 'ann', time(submitted), time(began), time(ended), node, state].join(',');
}

const at = (minute: string) => `2020-01-01T00:${minute}:00.000001Z`;

describe('rows that are one run each', () => {
  let fixture: ImportFixture;
  let folder: SourceFolder;
  beforeAll(async () => {
    fixture = await importFixture();
  });
  beforeEach(async () => {
    await fixture.clear();
    folder = fixture.folder();
    folder.mapping(RUN_ROWS);
  });
  afterAll(() => fixture.close());

  it.each([
    ['in memory', undefined],
    ['through temporary files', 200],
  ])('become commands in order of time over all files, sorted %s', async (_how, sortMemoryChars) => {
    folder.file(
      '1.csv.gz',
      gzipSync(`${run('a', ['05', '07', '09'])}\n${run('b', ['01', '07', '20'], 'ERR')}\n`),
    );
    folder.file('2.csv', [run('c', ['03', '07', '07'], 'PART'), run('d', ['02', '02', '02'], 'HELD')]);
    const memory = sortMemoryChars === undefined ? {} : { sortMemoryChars };
    // One command at a time: of a chunk, the log holds each run's events together.
    const report = await fixture.import(folder, { chunkSize: 1, ...memory });
    expect(await fixture.log()).toEqual([
      `w/b: Queued@${at('01')}`,
      `w/d: Queued@${at('02')}`,
      `w/d: Started@${at('02')}`,
      `w/d: Completed@${at('02')}`,
      `w/c: Queued@${at('03')}`,
      `w/a: Queued@${at('05')}`,
      `w/a: Started@${at('07')}`,
      `w/b: Started@${at('07')}`,
      `w/c: Started@${at('07')}`,
      `w/c: Completed@${at('07')}`,
      `w/a: Completed@${at('09')}`,
      `w/b: Completed@${at('20')}`,
    ]);
    expect(report).toMatchObject({ files: 2, rows: 4, eventsAppended: 12, rejected: 0, runs: 4 });
    expect(report.byStatusAndOutcome).toMatchObject({
      succeeded: 1,
      failed: 1,
      partially_succeeded: 1,
      blocked: 1,
    });
    expect(await fixture.import(folder)).toMatchObject({ eventsAppended: 0, eventsAlreadyStored: 12 });
  });

  it('leave out what has not happened, or is said never to have', async () => {
    folder.file('1.csv', [
      run('never', ['01', '02', '03'], 'STOPPED by ann', ''),
      run('unstarted', ['01', '', '03'], 'ERR'),
      run('running', ['01', '02', ''], 'RUNNING'),
      run('queued', ['01', '', ''], ''),
    ]);
    await fixture.import(folder);
    expect(await fixture.factsOf('w/never')).toMatchObject({
      outcome: 'cancelled',
      startedAt: null,
      reason: 'STOPPED by ann',
    });
    expect(await fixture.factsOf('w/unstarted')).toMatchObject({
      outcome: 'failed',
      startedAt: null,
      reason: null,
    });
    expect(await fixture.factsOf('w/running')).toMatchObject({ status: 'running', startedAt: at('02') });
    expect(await fixture.factsOf('w/queued')).toMatchObject({ status: 'queued' });
  });

  it('kept secrets in their reason, and half a character where it was cut', async () => {
    folder.file('1.csv', [
      run('long', ['01', '02', '03'], `ERR by ${'x'.repeat(492)}😀 and more`),
      run('secret', ['01', '02', '03'], 'ERR by token=abcdef123 of ann'),
    ]);
    await fixture.import(folder);
    expect((await fixture.factsOf('w/long')).reason).toBe(`ERR by ${'x'.repeat(492)}…`);
    expect((await fixture.factsOf('w/secret')).reason).toBe('ERR by token=*** of ann');
  });

  it('go on where an earlier export left a run unfinished, whatever the file is called', async () => {
    folder.file('monday.csv', [run('a', ['01', '02', ''], 'RUNNING'), run('b', ['01', '', ''], 'WAITING')]);
    await fixture.import(folder);
    const tuesday = fixture.folder();
    tuesday.mapping(RUN_ROWS);
    tuesday.file(
      'tuesday.csv.gz',
      gzipSync([run('b', ['01', '08', '']), run('a', ['01', '02', '09'])].join('\n')),
    );
    expect(await fixture.import(tuesday)).toMatchObject({
      eventsAlreadyStored: 3,
      eventsAppended: 2,
      byStatusAndOutcome: { running: 1, succeeded: 1 },
    });
    expect(await fixture.log()).toContain(`w/a: Completed@${at('09')}`);
  });

  it.each([
    ['in one chunk', {}],
    ['command by command, kept in the log in between', { chunkSize: 1, cacheWeight: 1 }],
  ])('gave their end to another row that had not ended, %s', async (_how, options) => {
    folder.file('1.csv', [
      run('a', ['01', '02', '20']),
      run('a', ['03', '04', '10'], 'ERR'),
      run('a', ['05', '06', '30'], 'ERR'),
      run('a', ['40', '41', '42'], 'HELD'),
    ]);
    const report = await fixture.import(folder, options);
    expect(await fixture.factsOf('w/a')).toMatchObject({ outcome: 'succeeded', completedAt: at('20') });
    expect(await fixture.factsOf('w/a#2')).toMatchObject({ outcome: 'blocked', queuedAt: at('40') });
    expect(report).toMatchObject({
      runs: 2,
      eventsAppended: 6,
      rejectedByReason: { run_still_active: 2 },
      queuedAgain: 0,
    });
    expect(rejectsIn(folder)).toMatchObject([{ line: 2 }, { line: 3 }]);
    expect(await fixture.import(folder, options)).toMatchObject({ eventsAppended: 0, rejected: 2 });
  });

  it('of a run that two exports tell of come to one run', async () => {
    folder.file('1-monday.csv', [run('a', ['01', '02', ''], 'RUNNING')]);
    folder.file('2-tuesday.csv', [run('a', ['01', '02', '09'])]);
    expect(await fixture.import(folder)).toMatchObject({ runs: 1, eventsAppended: 3, rejected: 0 });
  });

  it('of a run that somebody else has queued are left out whole', async () => {
    await fixture.others('w/a', queueCommand(at('00')));
    folder.file('1.csv', [run('a', ['01', '02', '20'])]);
    expect(await fixture.import(folder)).toMatchObject({
      eventsAppended: 0,
      rejectedByReason: { run_already_exists: 1 },
      skippedUnknownRun: 0,
    });
  });

  it('go to the rejects when they cannot be read', async () => {
    folder.file('1.csv', [
      run('a', ['01', '02', '03'], 'ABORTED by ann'),
      run('b', ['', '02', '03']),
      run('c', ['01', '02', '99']),
      'd,w',
      run('e', ['01', '02', '03']),
    ]);
    const report = await fixture.import(folder);
    expect(report).toMatchObject({ rows: 5, rejected: 4, eventsAppended: 3, runs: 1 });
    expect((rejectsIn(folder) as { reason: string }[]).map(({ reason }) => reason)).toEqual([
      'unknown outcome "ABORTED" in state',
      'no time of queueing: submitted is empty',
      'ended is no time: "2020-01-01 00:99:00.000001"',
      '2 fields where 10 columns are named',
    ]);
  });

  it('keep the order of a life cycle where their times contradict it', async () => {
    folder.file('1.csv', [run('a', ['05', '03', '04']), run('b', ['04', '09', '06'], 'ERR')]);
    const report = await fixture.import(folder, { chunkSize: 1 });
    expect(await fixture.log()).toEqual([
      `w/b: Queued@${at('04')}`,
      `w/a: Queued@${at('05')}`,
      `w/a: Started@${at('03')}`,
      `w/a: Completed@${at('04')}`,
      `w/b: Started@${at('09')}`,
      `w/b: Completed@${at('06')}`,
    ]);
    expect(report).toMatchObject({ rejected: 0, skippedUnknownRun: 0 });
  });

  it('of one id that follow each other are its incarnations', async () => {
    folder.file('1.csv', [
      run('a', ['10', '11', '12'], 'ERR'),
      run('a', ['01', '02', '10']),
      run('a', ['13', '', '']),
    ]);
    await fixture.import(folder);
    // The second row ends when the first begins: at equal times the first row of the file goes first.
    expect(await fixture.log()).toEqual([
      `w/a: Queued@${at('01')}`,
      `w/a: Started@${at('02')}`,
      `w/a: Completed@${at('10')}`,
      `w/a#2: Queued@${at('13')}`,
    ]);
  });

  it('are imported up to --until in part', async () => {
    folder.file('1.csv', [run('a', ['01', '02', '03']), run('b', ['02', '04', '05'])]);
    const report = await fixture.import(folder, { until: at('02') });
    expect(report).toMatchObject({ eventsAppended: 3, afterUntil: 3 });
    expect(await fixture.import(folder)).toMatchObject({
      eventsAppended: 3,
      eventsAlreadyStored: 3,
      runs: 2,
    });
    expect((await fixture.factsOf('w/b')).outcome).toBe('succeeded');
  });

  it('are not imported in part when the sorting is stopped', async () => {
    folder.file('1.csv', [run('a', ['01', '02', '03'])]);
    const stopped = new AbortController();
    const report = await fixture.import(folder, {
      signal: stopped.signal,
      onProgress: ({ phase }) => phase === 'sorting' && stopped.abort(),
    });
    expect(report).toMatchObject({ interrupted: true, eventsAppended: 0 });
  });
});
