import { PassThrough, Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import type { EventStore } from '../../src/event-store/event-store';
import { ImportError } from '../../src/import/import-error';
import type { ImportReport } from '../../src/import/import-report';
import { runImport } from '../../src/import/run-import';
import type { ImportOptions } from '../../src/import/run-import';
import { testClock } from '../support/database';
import { importFixture, judge, rejectsIn } from './import-fixture';
import type { ImportFixture } from './import-fixture';
import type { SourceFolder } from './source-folder';

const NOW = '2026-01-01T00:00:00.000Z';
const EARLIER = '2025-12-31T23:00:00.000001Z';

const line = (command: string, runId: string, fields: Record<string, unknown> = {}) =>
  JSON.stringify({ command, runId, ...fields });
const queue = (runId: string, fields: Record<string, unknown> = {}) =>
  line('queue', runId, { workspaceId: 'w', tenantId: 't', type: 'sync', ...fields });

describe('one command a line', () => {
  let fixture: ImportFixture;
  let folder: SourceFolder;
  beforeAll(async () => {
    fixture = await importFixture();
  });
  beforeEach(async () => {
    await fixture.clear();
    folder = fixture.folder();
  });
  afterAll(() => fixture.close());

  function importLines(options: Partial<ImportOptions> = {}): Promise<ImportReport> {
    const { store } = fixture;
    const ndjson = `${folder.path}/commands.ndjson`;
    const given = {
      ndjson,
      store,
      judge,
      rejectsPath: folder.rejectsPath,
      clock: testClock(NOW),
      ...options,
    };
    // The options that tell folders from lines are not among those that tests replace.
    return runImport(given);
  }

  it('is a live command, at its own time or now', async () => {
    folder.file('commands.ndjson', [
      queue('a', { occurredAt: EARLIER, initiator: 'ann' }),
      line('start', 'a', { occurredAt: EARLIER }),
      line('progress', 'a', { summaryCounts: { done: 1 } }),
      line('complete', 'a', { outcome: 'failed', failureSummary: [{ code: 'E', message: 'no', count: 1 }] }),
      line('resolve', 'a', { note: 'seen' }),
      line('reopen', 'a'),
      queue('b'),
      line('cancel', 'b', { reason: 'not needed' }),
    ]);
    const report = await importLines();
    expect(await fixture.factsOf('a')).toMatchObject({
      origin: null,
      queuedAt: EARLIER,
      lastHeartbeatAt: NOW,
      outcome: 'failed',
      resolution: 'open',
      failureSummary: [{ code: 'E' }],
    });
    expect(await fixture.factsOf('b')).toMatchObject({ outcome: 'cancelled', reason: 'not needed' });
    expect(report).toMatchObject({
      dataset: 'commands',
      files: 1,
      rows: 8,
      eventsAppended: 8,
      rejected: 0,
      runs: 2,
      byStatusAndOutcome: { failed: 1, cancelled: 1 },
      firstAt: EARLIER,
      lastAt: NOW,
      rejectsFile: null,
      interrupted: false,
    });
  });

  it('goes to the rejects when it is none or the run refuses it, and stops nothing', async () => {
    folder.file('commands.ndjson', [
      'nonsense',
      '[]',
      line('explode', 'a'),
      line('start', ''),
      JSON.stringify({ command: 'start' }),
      queue('a', { color: 'red' }),
      line('start', 'absent'),
      queue('a'),
      line('complete', 'a', { outcome: 'done' }),
      queue('a'),
    ]);
    const report = await importLines();
    expect(report).toMatchObject({
      rows: 10,
      eventsAppended: 1,
      rejected: 9,
      rejectedByReason: { unreadable_row: 7, run_not_found: 1, run_already_exists: 1 },
    });
    const rejects = rejectsIn(folder) as { file: string; line: number; reason: string; row: string }[];
    expect(rejects.map(({ line }) => line).sort((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 9, 10]);
    const reasonOf = (line: number) => rejects.find((reject) => reject.line === line)?.reason;
    expect(reasonOf(1)).toMatch(/JSON/);
    expect(reasonOf(3)).toMatch(/^command: /);
    expect(reasonOf(5)).toMatch(/^runId: /);
    expect(reasonOf(6)).toMatch(/color/);
    expect(reasonOf(7)).toMatch(/^run_not_found: /);
    expect(rejects[0]).toMatchObject({ file: `${folder.path}/commands.ndjson`, row: 'nonsense' });
  });

  it('adds nothing the second time, though equal lines stand for themselves', async () => {
    folder.file('commands.ndjson', [
      queue('a'),
      line('progress', 'a'),
      line('progress', 'a'),
      line('start', 'a', { commandId: 'one' }),
      line('progress', 'a', { occurredAt: EARLIER, commandId: 'two' }),
    ]);
    const first = await importLines({ chunkSize: 2 });
    expect(first).toMatchObject({ eventsAppended: 5, eventsAlreadyStored: 0 });
    const again = await importLines({ clock: testClock('2026-01-02T00:00:00.000Z') });
    expect(again).toMatchObject({ eventsAppended: 0, eventsAlreadyStored: 5, rejected: 0, runs: 1 });
    expect(await fixture.log()).toHaveLength(5);
  });

  it('is known by its commandId, whatever else the line says now', async () => {
    folder.file('commands.ndjson', [queue('a'), line('start', 'a', { commandId: 'one' })]);
    await importLines();
    folder.file('commands.ndjson', [line('start', 'a', { commandId: 'one', occurredAt: EARLIER })]);
    expect(await importLines()).toMatchObject({ eventsAppended: 0, eventsAlreadyStored: 1 });
  });

  it('is known by its commandId in a file of another name', async () => {
    const lines = [queue('a'), line('progress', 'a', { commandId: 'one' })];
    folder.file('commands.ndjson', lines);
    await importLines();
    folder.file('others.ndjson', lines);
    const others = await importLines({ ndjson: `${folder.path}/others.ndjson` });
    expect(others).toMatchObject({ eventsAppended: 0, eventsAlreadyStored: 2 });
  });

  it('is another heartbeat each time that standard input says so, though it says the same', async () => {
    const beat = () =>
      importLines({ ndjson: '-', input: Readable.from([Buffer.from(`${line('progress', 'a')}\n`)]) });
    await importLines({ ndjson: '-', input: Readable.from([Buffer.from(`${queue('a')}\n`)]) });
    expect(await beat()).toMatchObject({ eventsAppended: 1 });
    expect(await beat()).toMatchObject({ eventsAppended: 1 });
  });

  it('is the same heartbeat when standard input tells the time of it, however often it says so', async () => {
    const input = () => Readable.from([Buffer.from(`${line('progress', 'a', { occurredAt: EARLIER })}\n`)]);
    await importLines({ ndjson: '-', input: Readable.from([Buffer.from(`${queue('a')}\n`)]) });
    expect(await importLines({ ndjson: '-', input: input() })).toMatchObject({ eventsAppended: 1 });
    expect(await importLines({ ndjson: '-', input: input() })).toMatchObject({ eventsAppended: 0 });
  });

  it('goes on where an interrupted import stopped', async () => {
    folder.file(
      'commands.ndjson',
      Array.from({ length: 40 }, (_, index) =>
        index % 2 ? line('start', `r${index - 1}`) : queue(`r${index}`),
      ),
    );
    const stopping = new AbortController();
    let appends = 0;
    const store: EventStore = {
      ...fixture.store,
      appendMany: (list) => {
        if (++appends === 1) stopping.abort();
        return fixture.store.appendMany(list);
      },
    };
    const stopped = await importLines({ store, chunkSize: 10, signal: stopping.signal });
    expect(stopped.interrupted).toBe(true);
    expect(await importLines()).toMatchObject({
      interrupted: false,
      runs: 20,
      byStatusAndOutcome: { running: 20 },
    });
    expect(await fixture.log()).toHaveLength(40);
  });

  it('comes from gzip files as well', async () => {
    folder.file('commands.ndjson.gz', gzipSync(`${queue('a')}\n${line('start', 'a')}`));
    const report = await importLines({ ndjson: `${folder.path}/commands.ndjson.gz` });
    expect(report).toMatchObject({ dataset: 'commands', eventsAppended: 2 });
  });

  it('comes from standard input', async () => {
    const report = await importLines({
      ndjson: '-',
      input: Readable.from([Buffer.from(`${queue('a')}\nx\n`)]),
    });
    expect(report).toMatchObject({ dataset: 'stdin', eventsAppended: 1, rejected: 1 });
  });

  it('takes effect while its writer goes on, who does not hold up an end', async () => {
    const input = new PassThrough();
    const stopping = new AbortController();
    const seen: number[] = [];
    const importing = importLines({
      ndjson: '-',
      input,
      signal: stopping.signal,
      onProgress: ({ eventsAppended }) => {
        seen.push(eventsAppended);
        if (eventsAppended === 1) input.write(`${line('start', 'a')}\n`);
        if (eventsAppended === 2) stopping.abort();
      },
    });
    input.write(`${queue('a')}\n`);
    expect(await importing).toMatchObject({ interrupted: true, eventsAppended: 2 });
    expect(seen).toEqual([1, 2]);
  });

  it('is missed when the file is', async () => {
    await expect(importLines()).rejects.toThrow(ImportError);
  });
});
