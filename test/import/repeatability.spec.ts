import type { EventStore } from '../../src/event-store/event-store';
import { at, importFixture } from './import-fixture';
import type { ImportFixture } from './import-fixture';
import { EVENT_ROWS, row } from './source-folder';
import type { SourceFolder } from './source-folder';

/** Lifetimes of several runs, some of which come twice, with heartbeats. */
function manyRows(): { events: string[]; beats: string[] } {
  const events: string[] = [];
  const beats: string[] = [];
  for (let time = 0; time < 600; time++) {
    const run = `r${(time * 31) % 37}`;
    events.push(row(time, run, ['Q', 'S', 'OK', 'Q', 'ERR', 'S', 'LOST', 'STOP'][(time * 7) % 8]!));
    if (time % 3 === 0) beats.push(`${time},r${(time * 13) % 37},p`);
  }
  return { events, beats };
}

describe('the same import again', () => {
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

  /** Imports twice more and expects nothing new. */
  async function expectNothingMore(): Promise<void> {
    const before = await fixture.log();
    for (const chunkSize of [2_000, 3]) {
      const report = await fixture.import(folder, { chunkSize });
      expect(report.eventsAppended).toBe(0);
      expect(await fixture.log()).toEqual(before);
    }
  }

  it('adds nothing and reports the same runs', async () => {
    const { events, beats } = manyRows();
    folder.file('events/1.csv', events);
    folder.file('beats/1.csv', beats);
    const first = await fixture.import(folder);
    const second = await fixture.import(folder);
    expect(first.eventsAppended).toBeGreaterThan(300);
    expect(second).toEqual({
      ...first,
      eventsAppended: 0,
      eventsAlreadyStored: first.eventsAppended,
      seconds: expect.any(Number) as number,
      eventsPerSecond: 0,
    });
    await expectNothingMore();
  });

  it('comes to the same in one piece, chunk by chunk, forgetting runs, or interrupted anywhere', async () => {
    const { events, beats } = manyRows();
    folder.file('events/1.csv', events);
    folder.file('beats/1.csv', beats);
    const whole = await fixture.import(folder);
    const undisturbed = await fixture.streams();

    await fixture.clear();
    // Two stories fit into memory at once; all others are told again from the log.
    const forgetful = await fixture.import(folder, { chunkSize: 7, cacheWeight: 8 });
    expect(await fixture.streams()).toEqual(undisturbed);
    expect(forgetful.byStatusAndOutcome).toEqual(whole.byStatusAndOutcome);
    expect(forgetful.runs).toBe(whole.runs);

    await fixture.clear();
    for (let round = 1; ; round++) {
      const stopping = new AbortController();
      let chunks = 0;
      const report = await fixture.import(folder, {
        chunkSize: 10,
        signal: stopping.signal,
        onProgress: () => ++chunks === 10 * round && stopping.abort(),
      });
      if (!report.interrupted) break;
    }
    expect(await fixture.streams()).toEqual(undisturbed);
  });

  it('goes on after a store that failed in the middle', async () => {
    const { events } = manyRows();
    folder.file('events/1.csv', events);
    await fixture.import(folder);
    const undisturbed = await fixture.streams();

    await fixture.clear();
    let appends = 0;
    const failing: EventStore = {
      ...fixture.store,
      appendMany: (list) =>
        ++appends === 5 ? Promise.reject(new Error('connection lost')) : fixture.store.appendMany(list),
    };
    await expect(fixture.import(folder, { store: failing, chunkSize: 50 })).rejects.toThrow(
      'connection lost',
    );
    await fixture.import(folder);
    expect(await fixture.streams()).toEqual(undisturbed);
  });

  it('adds only the later rows after one with --until', async () => {
    const { events, beats } = manyRows();
    folder.file('events/1.csv', events);
    folder.file('beats/1.csv', beats);
    await fixture.import(folder);
    const whole = await fixture.streams();

    await fixture.clear();
    for (const until of [0, 99, 100, 350]) await fixture.import(folder, { until: at(until) });
    await fixture.import(folder);
    expect(await fixture.streams()).toEqual(whole);
  });

  it('knows the rows in a copied folder with other file names and other splits', async () => {
    const { events } = manyRows();
    folder.file('events/1.csv', events);
    await fixture.import(folder);
    const copy = fixture.folder();
    copy.mapping(EVENT_ROWS);
    copy.file('events/a.csv', events.slice(0, 200));
    copy.file('events/b.csv', events.slice(200));
    expect((await fixture.import(copy)).eventsAppended).toBe(0);
  });

  it('knows equal rows apart, in order of time or not', async () => {
    folder.file('events/1.csv', [row(1, 'a', 'Q'), row(9, 'b', 'Q'), row(9, 'b', 'S')]);
    folder.file('beats/1.csv', ['5,a,x', '5,a,x', '7,a,x', '5,a,x', '4,a,x', '7,a,x']);
    const first = await fixture.import(folder);
    expect(first.eventsAppended).toBe(9);
    expect(await fixture.import(folder, { cacheWeight: 1, chunkSize: 1 })).toMatchObject({
      eventsAppended: 0,
      eventsAlreadyStored: 9,
    });
  });

  it('adds what rows out of order say after --until, once', async () => {
    folder.file('events/1.csv', [row(1, 'a', 'Q'), row(1, 'b', 'Q')]);
    // The second run between the rows of the first lets the first be forgotten each time.
    const times = [5, 9, 6, 6, 7];
    const beats = times.flatMap((time) => [`${time},a,x`, `${time},b,x`]);
    folder.file('beats/1.csv', beats);
    await fixture.import(folder, { until: at(8), chunkSize: 1 });
    const report = await fixture.import(folder, { chunkSize: 1, cacheWeight: 1 });
    expect(report).toMatchObject({ eventsAppended: 2, eventsAlreadyStored: 10 });
    await expectNothingMore();
  });

  it('keeps apart runs whose ids look like incarnations', async () => {
    folder.file('events/1.csv', [
      row(1, 'a', 'Q'),
      row(2, 'a', 'OK'),
      row(3, 'a', 'Q'),
      row(4, 'a#2', 'Q'),
      row(5, 'a', 'OK'),
    ]);
    const report = await fixture.import(folder);
    expect(report).toMatchObject({ eventsAppended: 4, rejectedByReason: { run_already_exists: 1 } });
    await expectNothingMore();
  });
});
