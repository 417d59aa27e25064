import { EventTooLargeError, MAX_EVENT_BYTES, UnstorableEventError } from '../../src/event-store/event-store';
import type { Append } from '../../src/event-store/event-store';
import { micros } from '../../src/events/instant';
import type { NewEvent } from '../../src/events/operation-run-events';
import type { Position } from '../../src/events/position';
import {
  expectAppended,
  expectLogOrder,
  idsOf,
  metadata,
  newEvent,
  newEvents,
  newStream,
} from './event-store-fixtures';
import type { LogUnderTest } from './event-store-fixtures';

export function appendContract(log: LogUnderTest): void {
  describe('append', () => {
    it('gives revisions from 0 on and answers those of the last event', async () => {
      const streamId = newStream();
      const first = await log.create(streamId, newEvents(2));
      const second = expectAppended(
        await log.store.append({ streamId, expectedRevision: 1, events: newEvents(3) }),
      );
      expect([first.revision, second.revision]).toEqual([1, 4]);
      const stored = await log.store.readStream(streamId);
      expect(stored.map((event) => event.revision)).toEqual([0, 1, 2, 3, 4]);
      expect([first.position, second.position]).toEqual([stored[1]?.position, stored[4]?.position]);
      expectLogOrder(stored);
    });

    it('keeps every field', async () => {
      const streamId = newStream();
      const event = newEvent({ summaryCounts: { processed: 3 } }, 'OperationRunQueued');
      const before = Date.now();
      const { position } = await log.create(streamId, [event]);
      const [stored] = await log.store.readStream(streamId);
      const { recordedAt, ...rest } = stored!;
      expect(rest).toEqual({ ...event, streamId, revision: 0, position });
      // Canonical, and plausible for a store whose clock is not quite ours.
      expect(recordedAt).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.(\d{3}|\d{6})Z$/);
      expect(Math.abs(micros(recordedAt) / 1000 - before)).toBeLessThan(60_000);
    });

    it.each([
      ['no stream, but there is one', 'no_stream'],
      ['a revision already passed', 0],
      ['a revision not yet reached', 7],
    ] as const)('is a conflict that writes nothing when it expects %s', async (_, expectedRevision) => {
      const streamId = newStream();
      const events = newEvents(2);
      await log.create(streamId, events);
      expect(await log.store.append({ streamId, expectedRevision, events: newEvents(1) })).toEqual({
        kind: 'conflict',
        actualRevision: 1,
      });
      expect(idsOf(await log.store.readStream(streamId))).toEqual(idsOf(events));
    });

    it('is a conflict when it expects a revision of a stream that does not exist', async () => {
      const streamId = newStream();
      expect(await log.store.append({ streamId, expectedRevision: 0, events: newEvents(1) })).toEqual({
        kind: 'conflict',
        actualRevision: 'no_stream',
      });
      expect(await log.store.readStream(streamId)).toEqual([]);
    });

    it('answers an identical retry with the original place, also when the stream has gone on', async () => {
      const streamId = newStream();
      await log.create(streamId, newEvents(1));
      const append: Append = { streamId, expectedRevision: 0, events: newEvents(3) };
      const original = await log.store.append(append);
      expect(await log.store.append(append)).toEqual({ ...original, isNew: false });
      await log.store.append({ streamId, expectedRevision: 3, events: newEvents(1) });
      expect(await log.store.append(append)).toEqual({ ...original, isNew: false });
      expect(await log.store.readStream(streamId)).toHaveLength(5);
    });

    it('takes no part of a retry for the whole', async () => {
      const streamId = newStream();
      const events = newEvents(2);
      await log.create(streamId, events);
      const conflict = { kind: 'conflict', actualRevision: 1 };
      const again = (others: NewEvent[]) =>
        log.store.append({ streamId, expectedRevision: 'no_stream', events: others });
      expect(await again([...events, newEvent()])).toEqual(conflict);
      expect(await again([events[0]!, newEvent()])).toEqual(conflict);
      expect(await again([events[1]!, events[0]!])).toEqual(conflict);
      expect(await log.store.readStream(streamId)).toHaveLength(2);
    });

    it('lets one of 20 concurrent appenders win each revision, without a gap', async () => {
      const streamId = newStream();
      const rounds = 5;
      for (let round = 0; round < rounds; round++) {
        const expectedRevision = round === 0 ? 'no_stream' : round - 1;
        const results = await Promise.all(
          Array.from({ length: 20 }, () =>
            log.store.append({ streamId, expectedRevision, events: [newEvent()] }),
          ),
        );
        const losers = results.filter((result) => result.kind === 'conflict');
        expect(losers).toEqual(
          Array.from({ length: 19 }, () => ({ kind: 'conflict', actualRevision: round })),
        );
      }
      const stored = await log.store.readStream(streamId);
      expect(stored.map((event) => event.revision)).toEqual([0, 1, 2, 3, 4]);
      expectLogOrder(stored);
    });

    it('never mixes the events of two appenders', async () => {
      const streamId = newStream();
      const tries = Array.from({ length: 8 }, () => newEvents(4));
      const results = await Promise.all(
        tries.map((events) => log.store.append({ streamId, expectedRevision: 'no_stream', events })),
      );
      const winner = results.findIndex((result) => result.kind === 'appended');
      expect(idsOf(await log.store.readStream(streamId))).toEqual(idsOf(tries[winner]!));
    });
  });

  describe('appendMany', () => {
    it('answers each append for itself, in the order given', async () => {
      const [fresh, grown, passed, absent, repeated] = [1, 2, 3, 4, 5].map(newStream) as [
        string,
        string,
        string,
        string,
        string,
      ];
      await log.create(grown, newEvents(1));
      await log.create(passed, newEvents(3));
      const again = newEvents(2);
      const original = await log.create(repeated, again);
      const results = await log.store.appendMany([
        { streamId: passed, expectedRevision: 0, events: newEvents(1) },
        { streamId: fresh, expectedRevision: 'no_stream', events: newEvents(2) },
        { streamId: repeated, expectedRevision: 'no_stream', events: again },
        { streamId: absent, expectedRevision: 3, events: newEvents(1) },
        { streamId: grown, expectedRevision: 0, events: newEvents(3) },
      ]);
      expect(results).toEqual([
        { kind: 'conflict', actualRevision: 2 },
        {
          kind: 'appended',
          revision: 1,
          position: expect.anything() as Position,
          isNew: expect.any(Boolean) as boolean,
        },
        { ...original, isNew: false },
        { kind: 'conflict', actualRevision: 'no_stream' },
        {
          kind: 'appended',
          revision: 3,
          position: expect.anything() as Position,
          isNew: expect.any(Boolean) as boolean,
        },
      ]);
      const streams = await log.store.readStreams([fresh, grown, passed, absent, repeated]);
      expect(new Map([...streams].map(([streamId, events]) => [streamId, events.length]))).toEqual(
        new Map([
          [fresh, 2],
          [grown, 4],
          [passed, 3],
          [repeated, 2],
        ]),
      );
      expect(expectAppended(results[1]).position).toEqual(streams.get(fresh)?.at(-1)?.position);
    });

    it('writes in the order given', async () => {
      const appends = Array.from({ length: 50 }, (): Append => {
        return { streamId: newStream(), expectedRevision: 'no_stream', events: newEvents(3) };
      });
      await log.store.appendMany(appends);
      const stored = await log.readFromStart(150);
      expect(idsOf(stored)).toEqual(appends.flatMap((append) => idsOf(append.events)));
    });

    it('answers a retry of the whole call as the first time', async () => {
      const appends = Array.from({ length: 20 }, (_, n): Append => {
        return { streamId: newStream(), expectedRevision: 'no_stream', events: newEvents(1 + (n % 3)) };
      });
      const first = await log.store.appendMany(appends);
      expect(await log.store.appendMany(appends)).toEqual(first.map((one) => ({ ...one, isNew: false })));
      expect(await log.readFromStart(39)).toHaveLength(39);
    });

    it('has one winner per stream when calls overlap', async () => {
      const streams = Array.from({ length: 10 }, newStream);
      const results = await Promise.all(
        Array.from({ length: 6 }, () =>
          log.store.appendMany(
            streams.map((streamId) => ({ streamId, expectedRevision: 'no_stream', events: newEvents(2) })),
          ),
        ),
      );
      const wins = streams.map((_, at) => results.filter((result) => result[at]?.kind === 'appended').length);
      expect(wins).toEqual(streams.map(() => 1));
      for (const events of (await log.store.readStreams(streams)).values()) expect(events).toHaveLength(2);
    });

    it('does nothing with nothing', async () => {
      expect(await log.store.appendMany([])).toEqual([]);
    });

    it('was refused whole for one append that cannot be stored', async () => {
      const [large, spoilt, one, other] = [1, 2, 3, 4].map(newStream) as [string, string, string, string];
      const queue = (streamId: string, events: NewEvent[]): Append => ({
        streamId,
        expectedRevision: 'no_stream',
        events,
      });
      const appended = { kind: 'appended', revision: 1 };
      const appends = [
        queue(one, newEvents(2)),
        queue(large, [newEvent('x'.repeat(MAX_EVENT_BYTES))]),
        queue(spoilt, [newEvent(), newEvent('a\0b')]),
        queue(other, newEvents(2)),
      ];
      expect(await log.store.appendMany(appends)).toMatchObject([
        appended,
        { kind: 'refused', error: expect.any(EventTooLargeError) as Error },
        { kind: 'refused', error: expect.any(UnstorableEventError) as Error },
        appended,
      ]);
      expect(await log.store.appendMany(appends.slice(1, 2))).toMatchObject([{ kind: 'refused' }]);
      const streams = await log.store.readStreams([large, spoilt, one, other]);
      expect([...streams.keys()].sort()).toEqual([one, other].sort());
    });

    it('refuses a stream that appears twice', async () => {
      const streamId = newStream();
      const twice: Append = { streamId, expectedRevision: 'no_stream', events: newEvents(1) };
      await expect(log.store.appendMany([twice, twice])).rejects.toThrow(streamId);
      expect(await log.store.readStream(streamId)).toEqual([]);
    });
  });

  describe('payloads', () => {
    const payloads: Record<string, unknown> = {
      quotes: { text: `"double" 'single' \`back\` \\"escaped\\"` },
      backslashes: { text: '\\ \\\\ \\n \\u0041', '\\key': '\\' },
      'an escape that is only text': { text: '\\u0000 \\\\u0000 \\ud83d' },
      'control characters': { text: '\u0001\b\f\n\r\t\u001f\u007f' },
      'array and row literals': ['{a,"b"}', '(1,2)', 'NULL', '{}', '', ','],
      unicode: { text: 'Zürich Ελλάδα 漢字 e\u0301 \u2028\u2029\ufeff', ключ: '→' },
      emoji: { text: '😀👩‍👩‍👧‍👦🇨🇭', '🗝️': ['🎉'] },
      numbers: [0, -1, 1.5, 1e21, 1e-7, Number.MAX_SAFE_INTEGER],
      'keys in their order': { b: 1, a: { d: [], c: {} } },
      'no object at all': null,
      'a long text': { text: 'x\\"'.repeat(30_000) },
    };

    it('come back as they were', async () => {
      const events = Object.values(payloads).map((data) => newEvent(data));
      const streamId = newStream();
      await log.store.appendMany([
        { streamId: newStream(), expectedRevision: 'no_stream', events: newEvents(2) },
        { streamId, expectedRevision: 'no_stream', events },
      ]);
      const stored = await log.store.readStream(streamId);
      expect(stored.map((event) => JSON.stringify(event.data))).toEqual(
        events.map((event) => JSON.stringify(event.data)),
      );
    });

    it('go with stream ids of any letters', async () => {
      const streamId = `${newStream()}/ü=" '\\{},`;
      await log.create(streamId, newEvents(1));
      expect([...(await log.store.readStreams([streamId])).keys()]).toEqual([streamId]);
    });

    it('are refused with U+0000 in them, before anything is sent', async () => {
      const streamId = newStream();
      const append = (data: unknown) =>
        log.store.append({ streamId, expectedRevision: 'no_stream', events: [newEvent(), newEvent(data)] });
      await expect(append({ text: 'a\0b' })).rejects.toThrow(
        /U\+0000.*OperationRunProgressed.*operation_run-/,
      );
      await expect(append({ 'a\\\0': 1 })).rejects.toThrow(/U\+0000/);
      expect(await log.store.readStream(streamId)).toEqual([]);
    });

    it('were stored with half a character in them, and read back out by no JSON function of the database', async () => {
      const streamId = newStream();
      const append = (event: NewEvent, to = streamId) =>
        log.store.append({ streamId: to, expectedRevision: 'no_stream', events: [event] });
      for (const data of [{ text: 'a\ud83d' }, { 'a\\\ude00': 1 }])
        await expect(append(newEvent(data))).rejects.toThrow(/half a surrogate pair.*operation_run-/);
      const actor = { ...newEvent(), metadata: { ...metadata, actor: '\ude00b' } };
      await expect(append(actor)).rejects.toThrow(/half a surrogate pair/);
      await expect(append(newEvent(), `${streamId}\ud83d`)).rejects.toThrow(
        /stream id.*half a surrogate pair/,
      );
      expect(await log.store.readStream(streamId)).toEqual([]);
    });

    it('are refused when they are not JSON', async () => {
      const events = [newEvent(() => undefined)];
      await expect(
        log.store.append({ streamId: newStream(), expectedRevision: 'no_stream', events }),
      ).rejects.toThrow(/not JSON/);
    });

    it('may be as large as the limit, not larger', async () => {
      const ofSize = (bytes: number) => {
        const overhead = Buffer.byteLength(JSON.stringify(['']) + JSON.stringify(metadata));
        return newEvent(['é'.repeat((bytes - overhead) >> 1) + 'x'.repeat((bytes - overhead) & 1)]);
      };
      const streamId = newStream();
      await log.create(streamId, [ofSize(MAX_EVENT_BYTES)]);
      const tooLarge = log.store.append({
        streamId,
        expectedRevision: 0,
        events: [ofSize(MAX_EVENT_BYTES + 1)],
      });
      await expect(tooLarge).rejects.toThrow(EventTooLargeError);
      await expect(tooLarge).rejects.toThrow(
        new RegExp(`OperationRunProgressed.*${streamId}.*${MAX_EVENT_BYTES + 1} bytes`),
      );
      expect(await log.readFromStart(1)).toHaveLength(1);
    });

    it('are refused when there are none', async () => {
      const streamId = newStream();
      await expect(log.store.append({ streamId, expectedRevision: 'no_stream', events: [] })).rejects.toThrow(
        streamId,
      );
    });
  });
}
