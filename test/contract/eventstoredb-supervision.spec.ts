import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  EventStoreUnavailableError,
  EventTooLargeError,
  StreamGoneError,
} from '../../src/event-store/event-store';
import { LogClient } from '../../src/event-store/eventstoredb-client';
import { parseConnectionString } from '../../src/event-store/eventstoredb-connection-string';
import {
  AnotherLogError,
  CallEndedError,
  EventStoreRefusedError,
} from '../../src/event-store/eventstoredb-errors';
import { readStream } from '../../src/event-store/eventstoredb-reads';
import { START } from '../../src/events/position';
import { EventStoreDbStandIn } from '../support/eventstoredb-stand-in';
import { StandInLog } from '../support/eventstoredb-stand-in-log';
import { eventually, idsOf, newEvent, newEvents, newStream } from './event-store-fixtures';
import { standInFixture } from './eventstoredb-fixtures';

describe('EventStoreDB subscription', () => {
  const fixture = standInFixture();
  const CANCELLED = { code: 1, details: 'cancelled by the server' };
  const UNAVAILABLE = { code: 14, details: 'going away' };
  const UNKNOWN = { code: 2, details: 'Server Is Busy' };

  const proposedRecord = () => ({
    ...{ id: randomUUID(), type: 'OperationRunProgressed', contentType: 'application/json' },
    ...{ data: Buffer.from('{}'), metadata: Buffer.from('{}') },
  });

  it.each([
    ['with no error at all', 'CallEndedError', () => fixture.standIn.endSubscriptions()],
    ['cancelled', 'cancelled', () => fixture.standIn.endSubscriptions(CANCELLED)],
    ['unavailable', 'unavailable', () => fixture.standIn.endSubscriptions(UNAVAILABLE)],
    ['for an unknown reason', 'unknown', () => fixture.standIn.endSubscriptions(UNKNOWN)],
    ['with its connection', 'unavailable', () => fixture.standIn.cutConnections()],
  ])('goes on where it was when it ends %s', async (_, type, endIt) => {
    const written = [await fixture.create(3)];
    const reader = fixture.read(START, 2);
    await reader.has(3);
    for (let round = 0; round < 2; round++) {
      endIt();
      written.push(await fixture.create(3));
      await reader.has(written.length * 3);
    }
    await reader.stop();
    expect(idsOf(reader.events)).toEqual(written.flatMap(({ events }) => idsOf(events)));
    expect(fixture.restarts.get(type)).toBe(2);
    expect(fixture.survived[0]?.message).toMatch(/subscription ended at \d+\.\d+, taken up again/);
  });

  it('goes on where it was when it ends between two events that are being sent', async () => {
    const { standIn } = fixture;
    const reader = fixture.read(START);
    await fixture.create(1);
    await reader.has(1);
    const write = () => standIn.log.append(newStream(), 'no_stream', [proposedRecord()]);
    write();
    // Long enough for the server to begin to send, too short to have done so.
    await new Promise((resolve) => process.nextTick(resolve));
    standIn.endSubscriptions();
    write();
    await reader.has(3);
    expect(reader.events).toEqual(await fixture.store.readAll(START, 10));
    expect([...fixture.restarts]).toEqual([['CallEndedError', 1]]);
  });

  it('goes on when the discovery of a cluster has given up, which is an error without a type', async () => {
    const { standIn } = fixture;
    const store = fixture.open({ url: standIn.clusterUrl });
    const first = await fixture.create(1);
    const reader = fixture.read(START, 10, store);
    await reader.has(1);
    await standIn.stop();
    await eventually(
      () => Promise.resolve(fixture.restarts.get('Error') ?? 0),
      (gaveUp) => gaveUp >= 2,
    );
    await standIn.start();
    const second = await fixture.create(1);
    await reader.has(2);
    expect(idsOf(reader.events)).toEqual(idsOf([...first.events, ...second.events]));
  });

  it('takes another client when the one it has stays broken', async () => {
    const { standIn } = fixture;
    await fixture.create(1);
    const reader = fixture.read(START);
    await reader.has(1);
    standIn.faults.notReady = 8;
    standIn.cutConnections();
    await fixture.create(1);
    await reader.has(2);
    expect(fixture.restarts.get('unavailable')).toBeGreaterThan(2);
    // The one given up closes in its own time.
    await eventually(
      () => Promise.resolve(standIn.connections),
      (connections) => connections === 1,
    );
  });

  it('goes on at once when it ends before it has begun', async () => {
    fixture.standIn.faults.endsUnconfirmed = 1;
    const store = fixture.open({ readTimeoutMs: 60_000 });
    const { events } = await fixture.create(2);
    const reader = fixture.read(START, 10, store);
    await reader.has(2);
    expect(idsOf(reader.events)).toEqual(idsOf(events));
    expect([...fixture.restarts]).toEqual([['CallEndedError', 1]]);
  });

  it('ends when it is denied access', async () => {
    fixture.standIn.faults.accessDenied = true;
    const ended = await fixture.read(START).done;
    expect(ended).toBeInstanceOf(EventStoreRefusedError);
    expect(ended?.message).toMatch(/access-denied/);
  });

  it('ends at a position where no event begins', async () => {
    await fixture.create(1);
    fixture.standIn.faults.invalidPosition = true;
    const ended = await fixture.read(START).done;
    expect(ended).toBeInstanceOf(EventStoreRefusedError);
    expect(ended?.message).toMatch(/invalid position/);
  });

  it('ends when another log answers under the same address', async () => {
    await fixture.create(1);
    const reader = fixture.read(START);
    await reader.has(1);
    await fixture.standIn.stop();
    fixture.standIn.log = new StandInLog();
    fixture.standIn.log.writeSystemEvents(100);
    await fixture.standIn.start();
    const ended = await reader.done;
    expect(ended).toBeInstanceOf(AnotherLogError);
    expect(ended?.message).toMatch(/another store answers/);
  });

  it('comes in batches no larger than asked for, and ends at the server when the consumer leaves', async () => {
    await fixture.create(3_000);
    let taken = 0;
    const signal = AbortSignal.timeout(10_000);
    for await (const batch of fixture.store.subscribe(START, { batchSize: 100, signal })) {
      taken += batch.length;
      expect(batch.length).toBeLessThanOrEqual(100);
      if (taken >= 1_000) break;
    }
    await eventually(
      () => Promise.resolve(fixture.standIn.subscribed),
      (subscribed) => subscribed === 0,
    );
  });
});

describe('EventStoreDB appends and reads', () => {
  const fixture = standInFixture();

  it('say at once that no event begins at a position, instead of trying until the server would be gone', async () => {
    const { position } = await fixture.create(1);
    fixture.standIn.faults.invalidPosition = true;
    const reading = fixture.store.readAll(position, 10);
    await expect(reading).rejects.toThrow(EventStoreRefusedError);
    await expect(reading).rejects.toThrow(/InvalidPosition/);
    expect(fixture.standIn.calls.read).toBeLessThan(5);
  });

  describe('of a stream that an operator of the server has deleted for good', () => {
    it('see nothing in it, and the mark of its deletion nowhere', async () => {
      const { standIn, store } = fixture;
      const gone = await fixture.create(2);
      const reader = fixture.read(START);
      standIn.log.deleteStream(gone.streamId);
      expect(await store.tail()).toEqual(gone.position);
      const other = await fixture.create(1);
      await reader.has(3);
      const expected = idsOf([...gone.events, ...other.events]);
      expect(idsOf(reader.events)).toEqual(expected);
      expect(idsOf(await store.readAll(START, 10))).toEqual(expected);
      expect(await store.pending(gone.position, 10)).toMatchObject({ events: 1 });
      expect([...(await store.readStreams([gone.streamId, other.streamId])).keys()]).toEqual([
        other.streamId,
      ]);
    });

    it.each([false, true])('are refused there, without batches: %s', async (single) => {
      const { standIn, store } = fixture;
      standIn.faults.noServerFeatures = single;
      const { streamId } = await fixture.create(1);
      standIn.log.deleteStream(streamId);
      const append = store.append({ streamId, expectedRevision: 0, events: newEvents(1) });
      await expect(append).rejects.toThrow(StreamGoneError);
      await expect(append).rejects.toThrow(/deleted/i);
      // Each of a batch was refused for it, at every repeat.
      const beside = newEvents(1);
      const results = await store.appendMany([
        { streamId, expectedRevision: 0, events: newEvents(1) },
        { streamId: `${streamId}-beside`, expectedRevision: 'no_stream', events: beside },
      ]);
      expect(results).toMatchObject([
        { kind: 'refused', error: expect.any(StreamGoneError) as Error },
        { kind: 'appended', revision: 0 },
      ]);
    });
  });

  it('wait for a server that is not ready', async () => {
    fixture.standIn.faults.notReady = 3;
    expect((await fixture.create(2)).revision).toBe(1);
    fixture.standIn.faults.notReady = 3;
    expect(await fixture.store.readAll(START, 10)).toHaveLength(2);
  });

  it('are in flight together: none waits for the answer of another', async () => {
    fixture.standIn.faults.replyDelayMs = 300;
    const streams = Array.from({ length: 20 }, newStream);
    const appends = streams.map((streamId) =>
      fixture.store.append({ streamId, expectedRevision: 'no_stream', events: newEvents(1) }),
    );
    await Promise.race(appends);
    expect(streams.filter((streamId) => !fixture.standIn.log.stream(streamId))).toEqual([]);
    await Promise.all(appends);
  });

  it('wait for a server that restarts', async () => {
    const { standIn, store } = fixture;
    const { streamId, events } = await fixture.create(1);
    await standIn.stop();
    const appending = store.append({ streamId, expectedRevision: 0, events: newEvents(1) });
    const reading = store.readStream(streamId);
    await sleep(300);
    await standIn.start();
    expect(await appending).toMatchObject({ kind: 'appended', revision: 1 });
    expect((await reading)[0]?.eventId).toBe(events[0]?.eventId);
  });

  it('give up in time, and say what is the matter', async () => {
    const store = fixture.open({ retryForMs: 200 });
    await fixture.standIn.stop();
    const append = { streamId: newStream(), expectedRevision: 'no_stream' as const, events: newEvents(1) };
    await expect(store.append(append)).rejects.toThrow(EventStoreUnavailableError);
    await expect(store.tail()).rejects.toThrow(/read of the tail: failed \d+ times.*reachable/);
    await fixture.standIn.start();
    expect(await store.append(append)).toMatchObject({ kind: 'appended', revision: 0 });
  });

  it('end when the store is closed', async () => {
    fixture.standIn.faults.repliesLost = 1;
    const appending = fixture.create(1).catch((error: unknown) => error);
    await eventually(
      () => Promise.resolve(fixture.standIn.faults.repliesLost),
      (left) => left === 0,
    );
    await fixture.store.close();
    expect(await appending).toBeInstanceOf(EventStoreUnavailableError);
    await expect(fixture.store.tail()).rejects.toThrow(/closed/);
  });

  it('refuse what the server would not take at once, before sending it', async () => {
    const events = Array.from({ length: 5 }, () => newEvent({ text: 'x'.repeat(220_000) }));
    const streamId = newStream();
    const append = fixture.store.append({ streamId, expectedRevision: 'no_stream', events });
    await expect(append).rejects.toThrow(EventTooLargeError);
    await expect(append).rejects.toThrow(new RegExp(`5 events to ${streamId} is \\d+ bytes`));
    expect(await fixture.store.readStream(streamId)).toEqual([]);
  });

  it('were all lost when one of them was more than the server takes', async () => {
    fixture.standIn.faults.maxEventBytes = 1_000;
    const append = (text: string) => ({
      streamId: newStream(),
      expectedRevision: 'no_stream' as const,
      events: Array.from({ length: 5 }, () => newEvent({ text })),
    });
    const texts = ['', 'x'.repeat(220_000), 'x'.repeat(1_000), ''];
    const results = await fixture.store.appendMany(texts.map(append));
    expect(results.map(({ kind }) => kind)).toEqual(['appended', 'refused', 'refused', 'appended']);
  });

  it('are told at once that the server is set to take no event of that size', async () => {
    fixture.standIn.faults.maxEventBytes = 1_000;
    const events = [newEvent({ text: 'x'.repeat(1_000) })];
    const streamId = newStream();
    const append = fixture.store.append({ streamId, expectedRevision: 'no_stream', events });
    await expect(append).rejects.toThrow(EventTooLargeError);
    await expect(append).rejects.toThrow(`append of 1 events to ${streamId}`);
  });

  it('fail when their client is given up in the middle, and are not taken for whole', async () => {
    const { streamId } = await fixture.create(50);
    fixture.standIn.faults.deliveryDelayMs = 5;
    const client = new LogClient(parseConnectionString(fixture.standIn.url), 'leader');
    fixture.standIn.calls.eventsSent = 0;
    const reading = readStream(client, 10_000, streamId, 0).catch((error: unknown) => error);
    await eventually(
      () => Promise.resolve(fixture.standIn.calls.eventsSent),
      (sent) => sent > 5,
    );
    await client.end();
    expect(await reading).toBeInstanceOf(CallEndedError);
  });

  it('find the last run event behind all that the server writes of itself', async () => {
    const { standIn, store } = fixture;
    expect(await store.tail()).toEqual(START);
    const { position } = await fixture.create(2);
    standIn.log.writeSystemEvents(2_000);
    expect(await store.tail()).toEqual(position);
    // It is looked for once; whoever asks again, as health does, costs next to nothing.
    standIn.calls.eventsSent = 0;
    expect(await store.pending(position, 10)).toEqual({ events: 0, oldestRecordedAt: null });
    expect(standIn.calls.eventsSent).toBeLessThan(10);
    expect(await store.readAll(START, 10)).toHaveLength(2);
    expect(await store.readAll(position, 10)).toEqual([]);
    expect(await store.pending(START, 10)).toMatchObject({ events: 2 });
    standIn.log.writeSystemEvents(1);
    expect(await store.tail()).toEqual(position);
    const next = await fixture.create(1);
    expect(await store.tail()).toEqual(next.position);
    expect(idsOf(await store.readAll(position, 10))).toEqual(idsOf(next.events));
  });

  it('count what is pending from any position, and read no event a second time to do so', async () => {
    const { standIn, store } = fixture;
    for (let stream = 0; stream < 12; stream++) {
      await fixture.create(100);
      standIn.log.writeSystemEvents(3);
    }
    const all = await store.readAll(START, 2_000);
    const expected = (after: number, limit: number) => ({
      events: Math.min(limit, 1_200 - after),
      oldestRecordedAt: all[after]?.recordedAt ?? null,
    });
    const ask = (after: number, limit = 5_000) =>
      store.pending(after === 0 ? START : all[after - 1]!.position, limit);
    for (const [after, limit] of [
      [700, 10],
      [700, 5_000],
      [0, 600],
      [1_199, 5],
      [1_200, 5],
      [3, 5_000],
      [501, 9_999],
    ])
      expect(await ask(after!, limit)).toEqual(expected(after!, limit!));
    const together = await Promise.all([0, 400, 900].map((after) => ask(after)));
    expect(together).toEqual([0, 400, 900].map((after) => expected(after, 5_000)));

    standIn.calls.eventsSent = 0;
    await fixture.create(1);
    expect((await ask(0)).events).toBe(1_201);
    expect(standIn.calls.eventsSent).toBeLessThan(100);
  });
});

describe('EventStoreDB cluster', () => {
  const log = new StandInLog();
  const members = () => [
    { port: fixture.standIn.port, leader: true },
    { port: follower.port, leader: false },
  ];
  const fixture = standInFixture({ log, members });
  const follower = new EventStoreDbStandIn({ log, members });
  beforeEach(() => follower.start());
  afterEach(() => follower.stop());

  it('is followed where nodePreference says, and written and asked for its end at the leader', async () => {
    const store = fixture.open({ url: `${fixture.standIn.clusterUrl}&nodePreference=follower` });
    const { events, position } = await fixture.create(3, store);
    const reader = fixture.read(START, 10, store);
    await reader.has(3);
    expect(idsOf(reader.events)).toEqual(idsOf(events));
    expect(await store.tail()).toEqual(position);
    expect(follower.calls).toMatchObject({ subscribe: 1, append: 0, batchAppend: 0, read: 0 });
    expect(fixture.standIn.calls).toMatchObject({ subscribe: 0, batchAppend: 2 });
    await reader.stop();
    await store.close();
  });
});
