import { EventStoreDBClient, jsonEvent } from '@eventstore/db-client';
import { LogClient } from '../../src/event-store/eventstoredb-client';
import { parseConnectionString } from '../../src/event-store/eventstoredb-connection-string';
import { PositionBeyondLogError } from '../../src/event-store/eventstoredb-errors';
import { openSession } from '../../src/event-store/eventstoredb-session';
import type { Session } from '../../src/event-store/eventstoredb-session';
import { START, comparePositions } from '../../src/events/position';
import type { Position } from '../../src/events/position';
import { EventStoreDbStandIn } from '../support/eventstoredb-stand-in';
import { eventually, idsOf, newEvents, newStream } from './event-store-fixtures';
import { standInFixture } from './eventstoredb-fixtures';

/** Jest fails a test during which a rejection goes unhandled or an exception uncaught. */
describe('what loses events with this client, and does not here', () => {
  const fixture = standInFixture();

  describe('1: checkpoints and caughtUp come before the events that they are about have been handled', () => {
    const opened: { session: Session; client: LogClient }[] = [];
    const open = (from: Position, batchSize: number): Session => {
      const { signal } = new AbortController();
      const client = new LogClient(parseConnectionString(fixture.standIn.url), 'leader');
      const session = openSession(client, { from, batchSize, filter: {}, signal });
      opened.push({ session, client });
      return session;
    };
    afterEach(async () => {
      for (const { session, client } of opened.splice(0)) {
        session.close();
        await client.end();
      }
    });

    it('a session has reached only what was handed out, while checkpoints lie in wait', async () => {
      const { position } = await fixture.create(1_500);
      const session = open(START, 1_000);
      await session.confirmed(1_000);
      // The server has sent a checkpoint after 1024 events and all that the buffers take; nobody has taken any.
      await eventually(
        () => Promise.resolve(session.buffered),
        (buffered) => buffered >= 1_000,
      );
      expect(session.reached).toEqual(START);
      let handedOut = 0;
      while (handedOut < 1_500) {
        const batch = await session.next(1_000);
        handedOut += batch.length;
        expect(batch[0]!.revision).toBe(handedOut - batch.length);
        // A batch counts once its consumer has come back for the next.
        expect(comparePositions(session.reached, batch[0]!.position)).toBe(-1);
      }
      await session.next(0);
      expect(session.reached).toEqual(position);
    });

    it('a cut behind a checkpoint loses nothing of what lay in the buffer', async () => {
      const written = await fixture.create(1_500);
      const events: string[] = [];
      const signal = AbortSignal.timeout(10_000);
      for await (const batch of fixture.store.subscribe(START, { batchSize: 100, signal })) {
        // By now the server has sent its checkpoint.
        if (events.length === 0) await new Promise((resolve) => setTimeout(resolve, 50));
        if (events.length === 0) fixture.standIn.cutConnections();
        events.push(...idsOf(batch));
        if (events.length >= 1_500) break;
      }
      expect(events).toEqual(idsOf(written.events));
      expect(fixture.restarts.size).toBe(1);
    });

    it('an idle log moves on past what the server writes of itself, and is not read again from there', async () => {
      const { position } = await fixture.create(1);
      const session = open(position, 10);
      fixture.standIn.log.writeSystemEvents(5_000);
      await eventually(
        () => Promise.resolve(session.reached.commit),
        (commit) => commit > position.commit,
      );
      expect(await session.next(0)).toEqual([]);
    });
  });

  describe('2: a position beyond the end of a restored log is followed in silence', () => {
    it('is refused at the start of a subscription', async () => {
      const { position } = await fixture.create(10);
      fixture.standIn.log.truncate(5);
      const ended = await fixture.read(position).done;
      expect(ended).toBeInstanceOf(PositionBeyondLogError);
      expect(ended?.message).toMatch(/restored/);
    });

    it('is refused also when the server has written of itself since, past that position', async () => {
      const { position } = await fixture.create(10);
      await fixture.store.tail();
      fixture.standIn.log.truncate(5);
      fixture.standIn.log.writeSystemEvents(100);
      expect(await fixture.read(position).done).toBeInstanceOf(PositionBeyondLogError);
    });

    it('is refused when the store is restored while it is followed', async () => {
      await fixture.create(10);
      const reader = fixture.read(START);
      await reader.has(10);
      await fixture.standIn.stop();
      fixture.standIn.log.truncate(5);
      await fixture.standIn.start();
      expect(await reader.done).toBeInstanceOf(PositionBeyondLogError);
      expect(await fixture.store.tail()).toEqual(reader.events[4]!.position);
    });
  });

  describe('3: what throws inside the client stalls a subscription for ever', () => {
    it('a checkpoint without a position is passed over', async () => {
      fixture.standIn.faults.emptyCheckpoints = true;
      const { events } = await fixture.create(1_500);
      const reader = fixture.read(START);
      await reader.has(1_500);
      fixture.standIn.cutConnections();
      const more = await fixture.create(1);
      await reader.has(1_501);
      expect(idsOf(reader.events)).toEqual(idsOf([...events, ...more.events]));
    });

    it('a subscription that has fallen silent is found out and made anew', async () => {
      const store = fixture.open({ probeEveryMs: 100 });
      const first = await fixture.create(1);
      const reader = fixture.read(START, 10, store);
      await reader.has(1);
      fixture.standIn.faults.silent = true;
      const second = await fixture.create(1);
      await eventually(
        () => Promise.resolve(fixture.restarts.get('NoAnswerError') ?? 0),
        (restarts) => restarts > 0,
      );
      fixture.standIn.faults.silent = false;
      await reader.has(2);
      expect(idsOf(reader.events)).toEqual(idsOf([...first.events, ...second.events]));
    });
  });

  it('4: the end of one client rejects the appends in flight of every other one of the process', async () => {
    const elsewhere = new EventStoreDbStandIn();
    await elsewhere.start();
    const other = EventStoreDBClient.connectionString(elsewhere.url);
    fixture.standIn.faults.replyDelayMs = 200;
    elsewhere.faults.repliesLost = 1;
    const lost = other.appendToStream('other', jsonEvent({ type: 'Other', data: {} }));
    const streams = Array.from({ length: 20 }, newStream);
    const appending = fixture.store.appendMany(
      streams.map((streamId) => ({ streamId, expectedRevision: 'no_stream', events: newEvents(2) })),
    );
    await eventually(
      () => Promise.resolve(fixture.standIn.log.stream(streams.at(-1)!)),
      (stream) => stream !== undefined,
    );
    elsewhere.cutConnections();
    await expect(lost).rejects.toThrow();
    expect((await appending).map(({ kind }) => kind)).toEqual(streams.map(() => 'appended'));
    // Once: nobody told ours that anything was wrong.
    expect(fixture.standIn.calls.batchAppend).toBe(1);
    await other.dispose();
    await elsewhere.stop();
  });

  describe.each([
    ['batched', false],
    ['single', true],
  ])('5: the lost answer of a %s append never comes', (_, single) => {
    beforeEach(() => (fixture.standIn.faults.noServerFeatures = single));

    it('and the same append again is recognised', async () => {
      const store = fixture.open({ appendTimeoutMs: 100 });
      fixture.standIn.faults.repliesLost = 2;
      const events = newEvents(3);
      const append = { streamId: newStream(), expectedRevision: 'no_stream' as const, events };
      const result = await store.append(append);
      const stored = await store.readStream(append.streamId);
      expect(idsOf(stored)).toEqual(idsOf(events));
      expect(result).toEqual({ kind: 'appended', revision: 2, position: stored[2]!.position, isNew: false });
      expect(await store.append(append)).toEqual(result);
    });

    it('and one among many does not hold the others up', async () => {
      const store = fixture.open({ appendTimeoutMs: 300 });
      fixture.standIn.faults.repliesLost = 3;
      const appends = Array.from({ length: 40 }, () => ({
        streamId: newStream(),
        expectedRevision: 'no_stream' as const,
        events: newEvents(2),
      }));
      const results = await store.appendMany(appends);
      expect(results.map(({ kind }) => kind)).toEqual(appends.map(() => 'appended'));
      const streams = await store.readStreams(appends.map(({ streamId }) => streamId));
      expect(
        appends.every((one) => idsOf(streams.get(one.streamId)!).join() === idsOf(one.events).join()),
      ).toBe(true);
    });
  });
});
