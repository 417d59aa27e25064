import { fc, TIMES } from '../support/properties';
import { RunContendedError } from '../../src/commands/command-result';
import type { RunCommand } from '../../src/domain/decider';
import type { EventStore } from '../../src/event-store/event-store';
import { at, importFixture, rejectsIn } from './import-fixture';
import type { ImportFixture } from './import-fixture';
import { EVENT_ROWS, row } from './source-folder';
import type { SourceFolder } from './source-folder';

const LATER = '2020-06-01T00:00:00.000Z';
const cancel: RunCommand = { kind: 'cancel', at: LATER, reason: 'operator' };
/** Leaves the same evidence as the reconciler, which lets imported runs be. */
const markFailed: RunCommand = {
  kind: 'mark-failed',
  at: '2020-07-01T00:00:00.000Z',
  by: 'operator',
  reason: 'lost',
};
const resolve: RunCommand = { kind: 'resolve', at: LATER, note: null };

describe('an import among others who act on the same runs', () => {
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

  describe('when others acted in between', () => {
    it('keeps what rows say of a run that an operator ended', async () => {
      folder.file('events/1.csv', [row(1, 'a', 'Q'), row(2, 'a', 'S'), row(5, 'a', 'OK'), row(6, 'a', 'Q')]);
      folder.file('beats/1.csv', ['4,a,x']);
      await fixture.import(folder, { until: at(3) });
      await fixture.others('a', cancel);
      const report = await fixture.import(folder);
      expect(await fixture.log()).toEqual([
        `a: Queued@${at(1)}`,
        `a: Started@${at(2)}`,
        `a: Completed@${LATER}`,
        `a: LateReportRecorded@${at(5)}`,
        `a#2: Queued@${at(6)}`,
      ]);
      expect(report).toMatchObject({ eventsAppended: 2, heartbeatsAfterEnd: 1 });
      expect(report.byStatusAndOutcome).toMatchObject({ cancelled: 1, queued: 1 });
      await expectNothingMore();
    });

    it('keeps what rows say of a run that was marked failed', async () => {
      folder.file('events/1.csv', [row(1, 'a', 'Q'), row(2, 'a', 'S'), row(3, 'a', 'S'), row(5, 'a', 'OK')]);
      folder.file('beats/1.csv', ['4,a,x']);
      await fixture.import(folder, { until: at(3) });
      await fixture.others('a', markFailed);
      await fixture.others('a', resolve);
      await fixture.import(folder);
      expect(await fixture.factsOf('a')).toMatchObject({
        outcome: 'failed',
        evidence: { reconciledBy: 'operator' },
        lateReport: { outcome: 'succeeded', occurredAt: at(5) },
      });
      await fixture.others('a', { kind: 'reopen', at: LATER, note: null });
      await expectNothingMore();
    });

    it('does not tell twice what a worker said first', async () => {
      folder.file('events/1.csv', [row(1, 'a', 'Q'), row(2, 'a', 'S')]);
      await fixture.import(folder, { until: at(1) });
      await fixture.others('a', { kind: 'start', at: LATER });
      expect(await fixture.import(folder)).toMatchObject({ commandsUnchanged: 1, eventsAppended: 0 });
      await fixture.others('a', markFailed);
      await expectNothingMore();
    });

    it('leaves a live run of the same id alone', async () => {
      await fixture.others('a', {
        kind: 'queue',
        at: LATER,
        ...{ workspaceId: 'x', tenantId: null, type: 'live', initiator: null, context: {} },
        ...{ summaryCounts: null, predecessorRunId: null, origin: null },
      });
      folder.file('events/1.csv', [row(1, 'a', 'Q'), row(2, 'a', 'S'), row(3, 'b', 'Q')]);
      const report = await fixture.import(folder);
      expect(report).toMatchObject({ eventsAppended: 1, skippedUnknownRun: 1, rejected: 1, runs: 1 });
      expect(rejectsIn(folder)).toEqual([
        expect.objectContaining({
          line: 1,
          reason: expect.stringMatching(/^run_already_exists: /) as string,
        }),
      ]);
      await expectNothingMore();
    });

    it('leaves a run alone whose stream cannot be read', async () => {
      const metadata = {
        actor: 'x',
        plane: 'worker',
        commandId: 'x',
        correlationId: 'x',
        causationId: 'x',
      } as const;
      const event = {
        eventId: '00000000-0000-4000-8000-000000000000',
        type: 'OperationRunExploded',
        data: {},
        metadata,
      };
      await fixture.store.append({
        streamId: 'operation_run-a',
        expectedRevision: 'no_stream',
        events: [event],
      });
      folder.file('events/1.csv', [row(1, 'a', 'Q'), row(2, 'b', 'Q')]);
      const report = await fixture.import(folder);
      expect(report).toMatchObject({ eventsAppended: 1, rejectedByReason: { stream_unreadable: 1 } });
    });
  });

  describe('when others act at the same moment', () => {
    /** A store where `before` happens between the decision and the writing of the nth chunk. */
    function racing(before: (nth: number) => Promise<void>): EventStore {
      let nth = 0;
      return {
        ...fixture.store,
        appendMany: async (appends) => {
          await before(++nth);
          return fixture.store.appendMany(appends);
        },
      };
    }

    it('decides again on what they left, and the next chunk with it', async () => {
      folder.file('events/1.csv', [
        ...[row(1, 'a', 'Q'), row(1, 'b', 'Q')],
        ...[row(2, 'a', 'S'), row(2, 'b', 'S')],
        ...[row(3, 'a', 'OK'), row(3, 'b', 'OK')],
        ...[row(4, 'a', 'Q'), row(4, 'b', 'OK')],
      ]);
      const store = racing(async (nth) => {
        if (nth === 2) await fixture.others('a', cancel);
      });
      const report = await fixture.import(folder, { store, chunkSize: 2 });
      expect((await fixture.log()).filter((event) => event.startsWith('a'))).toEqual([
        `a: Queued@${at(1)}`,
        `a: Completed@${LATER}`,
        `a: LateReportRecorded@${at(3)}`,
        `a#2: Queued@${at(4)}`,
      ]);
      expect(report).toMatchObject({
        eventsAppended: 6,
        rejectedByReason: { illegal_transition: 2 },
        runs: 3,
      });
      expect(report.byStatusAndOutcome).toMatchObject({ queued: 1, running: 0, succeeded: 1, cancelled: 1 });
      await expectNothingMore();
    });

    it('counts what it had written of a run before it was overtaken', async () => {
      folder.file('events/1.csv', [row(1, 'a', 'Q'), row(2, 'a', 'OK'), row(3, 'a', 'Q')]);
      const queued: RunCommand = {
        ...{ kind: 'queue', at: LATER, workspaceId: 'x', tenantId: null, type: 'live', initiator: null },
        ...{ context: {}, summaryCounts: null, predecessorRunId: null, origin: null },
      };
      const store = racing(async (nth) => {
        if (nth === 1) await fixture.others('a#2', queued);
      });
      const report = await fixture.import(folder, { store });
      expect(report).toMatchObject({ eventsAppended: 2, eventsAlreadyStored: 0 });
      expect(report.rejectedByReason).toEqual({ run_already_exists: 1 });
    });

    it('gives up on a run that others never leave alone, and says which', async () => {
      folder.file('events/1.csv', [row(1, 'a', 'Q'), row(2, 'a', 'S')]);
      await fixture.import(folder, { until: at(1) });
      const store = racing(() => fixture.others('a', { kind: 'progress', at: LATER, summaryCounts: null }));
      const contended = fixture.import(folder, { store });
      await expect(contended).rejects.toThrow(RunContendedError);
      await expect(contended).rejects.toThrow(/run a: /);
      expect((await fixture.import(folder)).eventsAppended).toBe(1);
    });
  });

  it(
    'adds nothing whatever the rows, the cuts and the others',
    async () => {
      const step = fc.record({
        ahead: fc.nat(2),
        run: fc.constantFrom('a', 'b'),
        code: fc.constantFrom('Q', 'Q', 'S', 'S', 'OK', 'ERR', 'STOP', 'LOST', 'beat', 'beat', 'back'),
      });
      const other = fc.record({
        until: fc.nat(40),
        run: fc.constantFrom('a', 'b', 'a#2'),
        command: fc.constantFrom('cancel', 'mark-failed', 'start', 'progress', 'complete', 'resolve'),
      });
      const commands: Record<string, RunCommand> = {
        cancel,
        'mark-failed': markFailed,
        resolve,
        start: { kind: 'start', at: LATER },
        progress: { kind: 'progress', at: LATER, summaryCounts: null },
        complete: {
          kind: 'complete',
          at: LATER,
          outcome: 'failed',
          summaryCounts: null,
          failureSummary: [],
          reasonCode: null,
          reason: null,
        },
      };
      await fc.assert(
        fc.asyncProperty(
          fc.array(step, { minLength: 5, maxLength: 40 }),
          fc.array(other, { maxLength: 4 }),
          fc.constantFrom(1, 3, 100),
          fc.constantFrom(1, 60_000),
          async (steps, others, chunkSize, cacheWeight) => {
            await fixture.clear();
            let now = 0;
            const events: string[] = [];
            const beats: string[] = [];
            for (const { ahead, run, code } of steps) {
              now += ahead;
              if (code === 'beat') beats.push(`${now},${run},x`);
              else if (code === 'back') beats.push(`${Math.max(0, now - 5)},${run},x`);
              else events.push(row(now, run, code));
            }
            folder.file('events/1.csv', events);
            folder.file('beats/1.csv', beats);
            for (const { until, run, command } of [...others].sort((a, b) => a.until - b.until)) {
              await fixture.import(folder, { until: at(until), chunkSize, cacheWeight });
              await fixture.others(run, commands[command]!).catch(() => undefined);
            }
            await fixture.import(folder, { chunkSize, cacheWeight });
            const before = await fixture.log();
            for (const other of others) {
              const report = await fixture.import(folder, { chunkSize: 4, cacheWeight: 8 });
              expect(report.eventsAppended).toBe(0);
              await fixture.others(other.run, commands[other.command]!).catch(() => undefined);
            }
            expect((await fixture.import(folder)).eventsAppended).toBe(0);
            expect((await fixture.log()).slice(0, before.length)).toEqual(before);
          },
        ),
        { numRuns: 60 * TIMES },
      );
    },
    120_000 * TIMES,
  );
});
