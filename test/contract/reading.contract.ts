import { EventStoreClosedError } from '../../src/event-store/event-store';
import type { Append } from '../../src/event-store/event-store';
import type { StoredEvent } from '../../src/events/operation-run-events';
import {
  expectAppended,
  expectLogOrder,
  follow,
  idsOf,
  newEvent,
  newEvents,
  newStream,
  TIMEOUT_MS,
} from './event-store-fixtures';
import type { LogUnderTest } from './event-store-fixtures';

export function readingContract(log: LogUnderTest): void {
  describe('reading', () => {
    it('a stream from a revision on', async () => {
      const streamId = newStream();
      await log.create(streamId, newEvents(5));
      const revisions = async (from?: number) =>
        (await log.store.readStream(streamId, from)).map((event) => event.revision);
      expect(await revisions()).toEqual([0, 1, 2, 3, 4]);
      expect(await revisions(3)).toEqual([3, 4]);
      expect(await revisions(5)).toEqual([]);
      expect(await log.store.readStream(newStream())).toEqual([]);
    });

    it('several streams at once', async () => {
      const [a, b, absent] = [newStream(), newStream(), newStream()];
      await log.create(a, newEvents(1));
      await log.create(b, newEvents(2));
      await log.store.append({ streamId: a, expectedRevision: 0, events: newEvents(2) });
      const streams = await log.store.readStreams([b, absent, a]);
      expect(streams.size).toBe(2);
      expect(streams.get(a)).toEqual(await log.store.readStream(a));
      expect(streams.get(b)).toEqual(await log.store.readStream(b));
      expect(await log.store.readStreams([])).toEqual(new Map());
    });

    it('which of some events are in their streams, and in no other', async () => {
      const [a, b, absent] = [newStream(), newStream(), newStream()];
      const [first, second, other] = newEvents(3).map(({ eventId }) => eventId) as [string, string, string];
      const events = newEvents(2);
      await log.create(a, [
        { ...events[0]!, eventId: first },
        ...newEvents(3),
        { ...events[1]!, eventId: second },
      ]);
      await log.create(b, [{ ...events[0]!, eventId: other }]);
      const asked = [
        { streamId: a, eventId: first },
        { streamId: a, eventId: second },
        { streamId: a, eventId: other },
        { streamId: absent, eventId: first },
      ];
      expect(await log.store.findEventIds(asked)).toEqual(new Set([first, second]));
      expect(await log.store.findEventIds(asked.slice(2))).toEqual(new Set());
      expect(await log.store.findEventIds([])).toEqual(new Set());
    });

    it('the log in pages, each event once, in order', async () => {
      const appends = Array.from({ length: 10 }, (): Append => {
        return { streamId: newStream(), expectedRevision: 'no_stream', events: newEvents(5) };
      });
      await log.store.appendMany(appends);
      const whole = await log.readFromStart(50);
      const paged: StoredEvent[] = [];
      for (let from = log.start; paged.length < 50; from = paged.at(-1)!.position) {
        const page = await log.store.readAll(from, 7);
        expect(page.length).toBe(Math.min(7, 50 - paged.length));
        paged.push(...page);
      }
      expect(paged).toEqual(whole);
      expect(idsOf(paged)).toEqual(appends.flatMap((append) => idsOf(append.events)));
      expectLogOrder(paged);
    });

    it('only the types asked for; an empty list asks for all', async () => {
      const types = ['OperationRunQueued', 'OperationRunStarted', 'OperationRunCompleted'];
      const events = types.map((type) => newEvent({}, type));
      await log.create(newStream(), events);
      expect(idsOf(await log.readFromStart(3, { types: [] }))).toEqual(idsOf(events));
      const some = await log.store.readAll(log.start, 10, {
        types: ['OperationRunCompleted', 'OperationRunQueued'],
      });
      expect(idsOf(some)).toEqual([events[0]?.eventId, events[2]?.eventId]);
      expect(await log.store.readAll(log.start, 1, { types: ['OperationRunCompleted'] })).toHaveLength(1);
      expect(await log.store.readAll(log.start, 10, { types: ['OperationRunRetried'] })).toEqual([]);
    });

    it('the tail, after which there is nothing', async () => {
      const { position } = await log.create(newStream(), newEvents(3));
      await log.readFromStart(3);
      expect(await log.store.tail()).toEqual(position);
      expect(await log.store.readAll(position, 10)).toEqual([]);
    });

    it('how much is waiting, and since when', async () => {
      expect(await log.store.pending(log.start, 10)).toEqual({ events: 0, oldestRecordedAt: null });
      await log.create(newStream(), newEvents(4));
      const [first, second] = await log.readFromStart(4);
      expect(await log.store.pending(log.start, 10)).toEqual({
        events: 4,
        oldestRecordedAt: first?.recordedAt,
      });
      expect(await log.store.pending(first!.position, 2)).toEqual({
        events: 2,
        oldestRecordedAt: second?.recordedAt,
      });
    });

    it('the identity, which stays', async () => {
      const identities = await Promise.all([
        log.store.identity(),
        log.store.identity(),
        log.store.identity(),
      ]);
      await log.create(newStream(), newEvents(1));
      expect(new Set([...identities, await log.store.identity()]).size).toBe(1);
      expect(identities[0]).toMatch(/^.{8,}$/);
    });
  });

  describe('subscribe', () => {
    it('catches up from the middle in bounded batches, then follows', async () => {
      const streamId = newStream();
      await log.create(streamId, newEvents(25));
      const middle = (await log.readFromStart(25))[9]!.position;
      const revisions: number[] = [];
      const signal = AbortSignal.timeout(TIMEOUT_MS);
      for await (const batch of log.store.subscribe(middle, { batchSize: 4, signal })) {
        expect(batch.length).toBeGreaterThan(0);
        expect(batch.length).toBeLessThanOrEqual(4);
        revisions.push(...batch.map((event) => event.revision));
        if (revisions.length === 15)
          await log.store.append({ streamId, expectedRevision: 24, events: newEvents(6) });
        if (revisions.length === 21) break;
      }
      expect(revisions).toEqual(Array.from({ length: 21 }, (_, n) => n + 10));
    });

    it('delivers what is appended while it waits', async () => {
      const following = follow(log.store, log.start, 3);
      const [a, b] = [newStream(), newStream()];
      await log.create(a, newEvents(1));
      await log.create(b, newEvents(2));
      expect((await following).map((event) => event.streamId)).toEqual([a, b, b]);
    });

    it('delivers only the types asked for, also beyond many others', async () => {
      const wanted = newEvent({}, 'OperationRunCompleted');
      const following = follow(log.store, log.start, 2, {
        filter: { types: ['OperationRunCompleted'] },
        batchSize: 2,
      });
      await log.create(newStream(), [...newEvents(20), wanted]);
      await log.create(newStream(), newEvents(20));
      const last = newEvent({}, 'OperationRunCompleted');
      await log.create(newStream(), [...newEvents(5), last]);
      expect(idsOf(await following)).toEqual([wanted.eventId, last.eventId]);
    });

    it('gives each of many concurrent appends once, in order, to a reader that follows them', async () => {
      const appenders = 8;
      const rounds = 15;
      const following = follow(log.store, log.start, appenders * rounds * 2, { batchSize: 16 });
      const written = await Promise.all(
        Array.from({ length: appenders }, async () => {
          const streamId = newStream();
          const ids: string[] = [];
          for (let round = 0; round < rounds; round++) {
            const events = newEvents(2);
            const expectedRevision = round === 0 ? 'no_stream' : round * 2 - 1;
            expectAppended(await log.store.append({ streamId, expectedRevision, events }));
            ids.push(...idsOf(events));
          }
          return ids;
        }),
      );
      const events = await following;
      expectLogOrder(events);
      expect(idsOf(events).sort()).toEqual(written.flat().sort());
      const seen = new Map<string, number>();
      for (const event of events) {
        expect(event.revision).toBe((seen.get(event.streamId) ?? -1) + 1);
        seen.set(event.streamId, event.revision);
      }
    });

    it('serves several readers, each at its own pace', async () => {
      const following = [1, 7, 100].map((batchSize) => follow(log.store, log.start, 30, { batchSize }));
      await log.create(newStream(), newEvents(30));
      const [a, b, c] = await Promise.all(following);
      expect(idsOf(a!)).toEqual(idsOf(c!));
      expect(idsOf(b!)).toEqual(idsOf(c!));
    });

    it('can be left and taken up again', async () => {
      await log.create(newStream(), newEvents(10));
      const first = await follow(log.store, log.start, 4, { batchSize: 4 });
      const rest = await follow(log.store, first.at(-1)!.position, 6, { batchSize: 4 });
      expect([...first, ...rest].map((event) => event.revision)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    });

    it('ends when its signal aborts, be it waiting, at work, or not yet begun', async () => {
      await log.create(newStream(), newEvents(10));
      const abort = new AbortController();
      const batches: StoredEvent[][] = [];
      for await (const batch of log.store.subscribe(log.start, { batchSize: 4, signal: abort.signal })) {
        batches.push(batch);
        abort.abort();
      }
      expect(batches).toHaveLength(1);

      const waiting = new AbortController();
      const last = (await log.readFromStart(10)).at(-1)!.position;
      const quiet = log.store.subscribe(last, { batchSize: 4, signal: waiting.signal });
      const reader = quiet[Symbol.asyncIterator]();
      const next = reader.next();
      setImmediate(() => waiting.abort());
      expect(await next).toEqual({ done: true, value: undefined });

      const never = log.store.subscribe(log.start, { batchSize: 4, signal: AbortSignal.abort() });
      expect(await never[Symbol.asyncIterator]().next()).toEqual({ done: true, value: undefined });
    });

    it('ends when the store is closed', async () => {
      const { signal } = new AbortController();
      const reader = log.store.subscribe(log.start, { batchSize: 4, signal })[Symbol.asyncIterator]();
      const next = reader.next();
      await log.store.close();
      expect(await next).toEqual({ done: true, value: undefined });
      // Not another end: a reader that starts over would spin, and starve the process.
      expect(() => log.store.subscribe(log.start, { batchSize: 4, signal })).toThrow(EventStoreClosedError);
    });
  });
}
