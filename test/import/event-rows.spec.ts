import { existsSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { at, importFixture } from './import-fixture';
import type { ImportFixture } from './import-fixture';
import { EVENT_ROWS, row } from './source-folder';
import type { SourceFolder } from './source-folder';

describe('rows that are one state change each', () => {
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

  it('become the events of the decider, with the times of the source', async () => {
    folder.file('events/1.csv', [row(1, 'a', 'Q'), row(1, 'a', 'S'), row(2_000_003, 'b', 'Q', 'w', '')]);
    folder.file('events/2.csv', [
      row(2_000_003, 'a', 'OK'),
      row(2_000_004, 'b', 'U'),
      row(3_000_000, 'b', 'STOP'),
    ]);

    // One command at a time: of a chunk, the log holds each run's events together.
    const report = await fixture.import(folder, { chunkSize: 1 });

    expect(await fixture.log()).toEqual([
      `a: Queued@${at(1)}`,
      `a: Started@${at(1)}`,
      `b: Queued@${at(2_000_003)}`,
      `a: Completed@${at(2_000_003)}`,
      `b: Completed@${at(3_000_000)}`,
    ]);
    expect(await fixture.factsOf('a')).toMatchObject({
      workspaceId: 'w',
      tenantId: 't',
      type: 'sync',
      initiator: 'ann',
      origin: 'import:changes',
      outcome: 'succeeded',
    });
    expect(await fixture.factsOf('b')).toMatchObject({
      tenantId: null,
      outcome: 'cancelled',
      startedAt: null,
    });
    expect(report).toMatchObject({
      dataset: 'changes',
      files: 2,
      rows: 6,
      eventRows: 6,
      ignoredRows: 1,
      eventsAppended: 5,
      eventsAlreadyStored: 0,
      rejected: 0,
      runs: 2,
      firstAt: at(1),
      lastAt: at(3_000_000),
      rejectsFile: null,
      interrupted: false,
    });
    expect(report.byStatusAndOutcome).toMatchObject({ succeeded: 1, cancelled: 1, running: 0 });
    expect(existsSync(folder.rejectsPath)).toBe(false);
  });

  it('name the import as the one who tells', async () => {
    folder.file('events/1.csv', [row(1, 'a', 'Q')]);
    await fixture.import(folder);
    const [event] = await fixture.store.readStream('operation_run-a');
    expect(event?.metadata).toMatchObject({ actor: 'import:changes', plane: 'worker' });
    const metadata = event?.metadata as Record<string, string>;
    expect(metadata.causationId).toBe(metadata.commandId);
  });

  it('are read from gzip files, whatever they are called', async () => {
    folder.file('events/1.csv.gz', gzipSync(`${row(1, 'a', 'Q')}\r\n${row(2, 'a', 'S')}\r\n`));
    folder.file('events/2.csv', gzipSync(row(3, 'a', 'ERR')));
    await fixture.import(folder);
    expect((await fixture.factsOf('a')).outcome).toBe('failed');
  });

  it('join columns by a slash', async () => {
    folder.mapping({ ...EVENT_ROWS, run_id: ['site', 'run'], operation_type: ['kind', 'who'] });
    folder.file('events/1.csv', [row(1, 'a', 'Q'), '2,,Q,w,t,sync,ann']);
    const report = await fixture.import(folder);
    expect(await fixture.factsOf('w/a')).toMatchObject({ type: 'sync/ann' });
    expect(report.rejectedByReason).toEqual({ unreadable_row: 1 });
  });

  it('begin a new run when a run is queued after its end', async () => {
    folder.file('events/1.csv', [
      ...[row(1, 'a', 'Q'), row(2, 'a', 'OK')],
      ...[row(3, 'a', 'Q', 'v', 'u'), row(4, 'a', 'S'), row(5, 'a', 'ERR')],
      ...[row(5, 'a', 'Q'), row(6, 'a', 'S')],
    ]);
    folder.file('beats/1.csv', ['6,a,x']);
    const report = await fixture.import(folder);
    expect(await fixture.factsOf('a')).toMatchObject({ workspaceId: 'w', outcome: 'succeeded' });
    expect(await fixture.factsOf('a#2')).toMatchObject({
      workspaceId: 'v',
      tenantId: 'u',
      outcome: 'failed',
    });
    expect(await fixture.factsOf('a#3')).toMatchObject({ status: 'running', lastHeartbeatAt: at(6) });
    expect(report).toMatchObject({ runs: 3, byStatusAndOutcome: { running: 1, succeeded: 1, failed: 1 } });
  });

  it('about a run that was never queued are counted and skipped', async () => {
    folder.file('events/1.csv', [row(1, 'a', 'S'), row(2, 'a', 'OK'), row(3, 'a', 'Q')]);
    folder.file('beats/1.csv', ['1,a,x', '1,b,x']);
    const report = await fixture.import(folder);
    expect(await fixture.log()).toEqual([`a: Queued@${at(3)}`]);
    expect(report).toMatchObject({ skippedUnknownRun: 4, rejected: 0, runs: 1 });
  });

  it('that queue or start a run again while it is active change nothing', async () => {
    folder.file('events/1.csv', [
      row(1, 'a', 'Q'),
      row(2, 'a', 'Q'),
      row(3, 'a', 'S'),
      row(3, 'a', 'S'),
      row(4, 'a', 'Q'),
    ]);
    const report = await fixture.import(folder);
    expect(await fixture.log()).toEqual([`a: Queued@${at(1)}`, `a: Started@${at(3)}`]);
    expect(report).toMatchObject({ queuedAgain: 2, commandsUnchanged: 1, eventsAlreadyStored: 0 });
  });

  it('that reconcile a run keep the evidence of the source, and later reports beside it', async () => {
    folder.file('events/1.csv', [
      row(1, 'a', 'Q'),
      row(2, 'a', 'S'),
      row(10, 'a', 'LOST'),
      row(20, 'a', 'OK'),
      row(30, 'a', 'LOST'),
    ]);
    const report = await fixture.import(folder);
    expect(await fixture.factsOf('a')).toMatchObject({
      outcome: 'failed',
      reasonCode: 'reconciled_at_source',
      evidence: { reconciledBy: 'import:changes', reconciledAt: at(10), priorStatus: 'running' },
      lateReport: { kind: 'completed', outcome: 'succeeded' },
    });
    expect(report).toMatchObject({ eventsAppended: 4, rejectedByReason: { illegal_transition: 1 } });
  });

  it('lost the heartbeats of files that are not in order of time, and those of a run to the next one', async () => {
    folder.file('events/1.csv', [row(1, 'a', 'Q'), row(5, 'a', 'OK'), row(9, 'a', 'Q'), row(20, 'b', 'Q')]);
    folder.file('beats/1.csv', ['12,a,x', '3,a,x']);
    folder.file('beats/2.csv', ['4,a,x']);
    const report = await fixture.import(folder);
    expect(await fixture.log()).toEqual([
      `a: Queued@${at(1)}`,
      `a: Progressed@${at(3)}`,
      `a: Progressed@${at(4)}`,
      `a: Completed@${at(5)}`,
      `a#2: Queued@${at(9)}`,
      `a#2: Progressed@${at(12)}`,
      `b: Queued@${at(20)}`,
    ]);
    expect(report).toMatchObject({ eventRows: 4, heartbeatRows: 3, rejected: 0, interrupted: false });
    expect((await fixture.import(folder)).eventsAppended).toBe(0);
  });

  it('take their heartbeats from other files, in order of time and behind events of the same time', async () => {
    folder.file('events/1.csv', [row(1, 'a', 'Q'), row(5, 'a', 'S'), row(9, 'a', 'OK')]);
    folder.file('beats/1.csv', ['0,a,x', '1,a,x', '5,a,x', '5,a,x', '7,a,y', '9,a,x', '11,a,x']);
    const report = await fixture.import(folder);
    expect(await fixture.log()).toEqual([
      `a: Queued@${at(1)}`,
      `a: Progressed@${at(1)}`,
      `a: Started@${at(5)}`,
      `a: Progressed@${at(5)}`,
      `a: Progressed@${at(5)}`,
      `a: Progressed@${at(7)}`,
      `a: Completed@${at(9)}`,
    ]);
    expect(report).toMatchObject({
      eventRows: 3,
      heartbeatRows: 7,
      rows: 10,
      skippedUnknownRun: 1,
      heartbeatsAfterEnd: 2,
      rejected: 0,
    });
    expect((await fixture.import(folder)).eventsAppended).toBe(0);
  });

  it('up to --until are imported, to the microsecond, and the rest later', async () => {
    folder.file('events/1.csv', [
      row(1_000_000, 'a', 'Q'),
      row(1_000_001, 'b', 'Q'),
      row(1_000_002, 'c', 'Q'),
    ]);
    folder.file('beats/1.csv', ['1000001,a,x', '1000002,a,x']);
    const first = await fixture.import(folder, { until: '2020-01-01T00:00:01.000001Z' });
    expect(first).toMatchObject({ eventsAppended: 3, afterUntil: 2, lastAt: at(1_000_001), runs: 2 });
    const rest = await fixture.import(folder);
    expect(rest).toMatchObject({ eventsAppended: 2, eventsAlreadyStored: 3, afterUntil: 0, runs: 3 });
  });

  it('tell how far the import is', async () => {
    folder.file(
      'events/1.csv',
      Array.from({ length: 250 }, (_, index) => row(index, `r${index}`, 'Q')),
    );
    const seen: { commandsDone: number; bytesDone: number; bytesTotal: number | null }[] = [];
    await fixture.import(folder, { chunkSize: 100, onProgress: (progress) => seen.push(progress) });
    expect(seen.map(({ commandsDone }) => commandsDone)).toEqual([0, 100, 200, 250]);
    expect(seen.at(-1)).toMatchObject({ phase: 'importing', rowsDone: 250, eventsAppended: 250 });
    expect(seen.at(-1)?.bytesDone).toBe(seen.at(-1)?.bytesTotal);
  });
});
