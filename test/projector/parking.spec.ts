import type { EventStore } from '../../src/event-store/event-store';
import { streamOf } from '../../src/events/operation-run-events';
import type { StoredEvent } from '../../src/events/operation-run-events';
import { START } from '../../src/events/position';
import { openProjection } from '../../src/projector/generation-projector';
import { FencedError, ParkedLimitError } from '../../src/projector/run-folding';
import { generationById } from '../../src/projector/generations';
import type { Generation } from '../../src/projector/generations';
import { discardParked, listParked, previewDiscard, retryParked } from '../../src/projector/parked-streams';
import { eventually } from '../support/eventually';
import { createProjectionFixture, dumpGeneration } from '../support/projection';
import type { ProjectionFixture } from '../support/projection';
import { queueCommand } from '../support/queue-command';
import { unableToShow } from '../support/unable-to-show';

const T0 = '2026-01-01T00:00:00.000Z';

const queue = (runId: string, at = T0) => ({ runId, command: queueCommand(at) });

function startedAndCancelled(runId: string) {
  return [
    { runId, command: { kind: 'start' as const, at: '2026-01-01T00:01:00.000Z' } },
    { runId, command: { kind: 'cancel' as const, at: '2026-01-01T00:02:00.000Z', reason: null } },
  ];
}

async function count(fixture: ProjectionFixture, table: string, where = 'true'): Promise<number> {
  const { rows } = await fixture.pool.query<{ n: number }>(
    `select count(*)::int as n from ${fixture.generation.schema}.${table} where ${where}`,
  );
  return rows[0]!.n;
}

describe('what the projector cannot apply', () => {
  let fixture: ProjectionFixture;
  beforeEach(async () => {
    fixture = await createProjectionFixture();
  });
  afterEach(() => fixture.close());

  describe('with an event that cannot be read', () => {
    beforeEach(async () => {
      await fixture.write([queue('good'), queue('bad')]);
      await fixture.writeRaw('bad', 1, 'OperationRunStarted', { occurredAt: 42 });
      await fixture.writeRaw('bad', 2, 'OperationRunProgressed', { occurredAt: T0, summaryCounts: null });
      await fixture.write([{ runId: 'good', command: { kind: 'start', at: T0 } }]);
      await fixture.catchUp();
    });

    test('its stream waits, the others flow, and the run says that its projection is incomplete', async () => {
      expect(await listParked(fixture.pool, fixture.generation)).toEqual([
        expect.objectContaining({ runId: 'bad', revision: 1, eventType: 'OperationRunStarted', events: 2 }),
      ]);
      const { rows } = await fixture.pool.query<{ run_id: string; status: string; incomplete: string }>(
        `select run_id, status, coalesce(run->>'incomplete', 'false') as incomplete
         from ${fixture.generation.schema}.runs join ${fixture.generation.schema}.run_facts using (run_id)
         order by run_id`,
      );
      expect(rows).toEqual([
        { run_id: 'bad', status: 'queued', incomplete: 'true' },
        { run_id: 'good', status: 'running', incomplete: 'false' },
      ]);
    });

    test('later events queue up behind it, also after a restart', async () => {
      await fixture.writeRaw('bad', 3, 'OperationRunProgressed', { occurredAt: T0, summaryCounts: null });
      await fixture.catchUp();
      expect((await listParked(fixture.pool, fixture.generation))[0]!.events).toBe(3);
    });

    test('a retry before the cause is mended parks it again and loses nothing', async () => {
      const parked = await listParked(fixture.pool, fixture.generation);
      const result = await retryParked(fixture.generation, streamOf('bad'), fixture.options);
      expect(result).toMatchObject({ kind: 'parked_again', events: 2, revision: 1 });
      expect(await listParked(fixture.pool, fixture.generation)).toEqual(parked);
      expect(await count(fixture, 'run_facts', `run->>'incomplete' = 'true'`)).toBe(1);
    });

    test('a retry waits for the batch that is being committed, and takes along what that parks', async () => {
      const { pool, generation, options } = fixture;
      await fixture.writeRaw('bad', 3, 'OperationRunProgressed', { occurredAt: T0, summaryCounts: null });
      const projector = await pool.connect();
      await projector.query(
        `begin; select from opstruth.generations where id = ${generation.id} for update;
         insert into ${generation.schema}.parked_events (stream_id, revision, event_type, commit, prepare)
           values ('${streamOf('bad')}', 3, 'OperationRunProgressed', 9999, 1)`,
      );
      const retried = retryParked(generation, streamOf('bad'), options);
      await eventually(async () => {
        const { rows } = await pool.query(
          `select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`,
        );
        return rows.length === 1;
      });
      await projector.query('commit');
      projector.release();
      expect(await retried).toMatchObject({ kind: 'parked_again', events: 3 });
    });

    test('a retry after the cause is mended applies all of it and fences the memory of a running projector', async () => {
      // As an upcaster of a newer version would lift it.
      const store: EventStore = {
        ...fixture.store,
        readStream: async (...asked) =>
          (await fixture.store.readStream(...asked)).map((event) =>
            event.revision === 1 ? { ...event, data: { occurredAt: T0 } } : event,
          ),
      };
      const mended = { ...fixture.options, store };
      const before = await generationById(fixture.pool, fixture.generation.id);
      expect(await retryParked(fixture.generation, streamOf('bad'), mended)).toEqual({
        kind: 'cleared',
        events: 2,
      });
      const after = await generationById(fixture.pool, fixture.generation.id);
      expect(after!.epoch).toBe(before!.epoch + 1n);
      expect(await count(fixture, 'runs', `status = 'running'`)).toBe(2);
      expect(await count(fixture, 'parked_events')).toBe(0);
      expect(await retryParked(fixture.generation, streamOf('bad'), mended)).toEqual({ kind: 'not_parked' });
      // What is not parked takes nothing from the projector's memory.
      expect((await generationById(fixture.pool, fixture.generation.id))!.epoch).toBe(after!.epoch);
    });

    test('a retry applies what was parked, and nothing that the projector has still to come to', async () => {
      await fixture.writeRaw('bad', 3, 'OperationRunProgressed', { occurredAt: T0, summaryCounts: null });
      const decision = { actor: 'ops', reason: 'written by a broken deployment' };
      const result = await discardParked(fixture.generation, streamOf('bad'), decision, fixture.options);
      expect(result).toEqual({ kind: 'cleared', events: 2 });
      expect(await count(fixture, 'run_facts', `run_id = 'bad' and facts->>'version' = '3'`)).toBe(1);
    });

    test('a discarded event stays out, of a new generation too, and what follows it is applied', async () => {
      const decision = { actor: 'ops', reason: 'written by a broken deployment' };
      const result = await discardParked(fixture.generation, streamOf('bad'), decision, fixture.options);
      expect(result.kind).toBe('cleared');
      const again = await fixture.anotherGeneration();
      await fixture.catchUp(again);
      const live = await dumpGeneration(fixture.pool, fixture.generation.schema);
      expect(await dumpGeneration(fixture.pool, again.schema)).toEqual(live);
      expect(await count(fixture, 'parked_events')).toBe(0);
    });

    test('an event that another generation has applied was left out all the same, so that the two differed for good', async () => {
      const other = await fixture.anotherGeneration();
      const decision = { actor: 'ops', reason: 'a mistake' };
      const isBeingBuilt = `generation ${other.id} is being built`;
      await expect(
        discardParked(fixture.generation, streamOf('bad'), decision, fixture.options),
      ).rejects.toThrow(isBeingBuilt);
      await fixture.pool.query(`update opstruth.generations set state = 'ready' where id = $1`, [other.id]);
      // As code that can still read it has applied it there.
      await fixture.pool.query(
        `insert into ${other.schema}.run_facts select * from ${fixture.generation.schema}.run_facts;
         update ${other.schema}.run_facts set facts = (facts::jsonb || '{"version":2}')::json where run_id = 'bad'`,
      );
      const { options, generation } = fixture;
      const hasApplied = `generation ${other.id} (ready) has applied revision 1`;
      await expect(previewDiscard(generation, streamOf('bad'), options)).rejects.toThrow(hasApplied);
      await expect(discardParked(generation, streamOf('bad'), decision, options)).rejects.toThrow(hasApplied);
      // Whoever looks from there would have to know that ending one alone does not help.
      const third = await fixture.anotherGeneration();
      await fixture.pool.query(`update opstruth.generations set state = 'standby' where id = $1`, [third.id]);
      await fixture.pool.query(
        `insert into ${third.schema}.run_facts select * from ${other.schema}.run_facts;
         insert into ${third.schema}.parked_events select * from ${generation.schema}.parked_events;
         delete from ${generation.schema}.parked_events;
         update ${generation.schema}.run_facts set facts = (facts::jsonb || '{"version":2}')::json where run_id = 'bad'`,
      );
      await expect(previewDiscard(third, streamOf('bad'), options)).rejects.toThrow(
        `generations ${generation.id} (live), ${other.id} (ready) have applied revision 1 of ${streamOf('bad')}, and would differ ` +
          'from every later fold: mend the code that refuses it, or first make another generation live, and then end ' +
          `${generation.id}, ${other.id}`,
      );
      await fixture.pool.query(
        `insert into ${generation.schema}.parked_events select * from ${third.schema}.parked_events`,
      );
      expect(await listParked(fixture.pool, generation)).toHaveLength(1);
    });

    test('a generation that came to a discarded event later applied it, for it had not heard of the discard', async () => {
      const { options, generation, pool, store } = fixture;
      const other = await fixture.anotherGeneration();
      await pool.query(`update opstruth.generations set state = 'ready' where id = $1`, [other.id]);
      // It has read nothing yet, and its code can read the event.
      const lifted = (events: readonly StoredEvent[]) =>
        events.map((event) =>
          event.revision === 1 && event.streamId === streamOf('bad')
            ? { ...event, data: { occurredAt: T0 } }
            : event,
        );
      const behind = await openProjection(other.id, options);
      const decision = { actor: 'ops', reason: 'written by a broken deployment' };
      await discardParked(generation, streamOf('bad'), decision, options);
      await expect(
        behind.apply(lifted(await store.readAll(START, 100))).then(() => behind.settled()),
      ).rejects.toThrow(FencedError);
      await behind.close();
      const reading = {
        ...store,
        readAll: async (...asked: Parameters<EventStore['readAll']>) => lifted(await store.readAll(...asked)),
      };
      await fixture.catchUp(other, { store: reading });
      expect(await dumpGeneration(pool, other.schema)).toEqual(await dumpGeneration(pool, generation.schema));
    });

    test('an event at which another generation stands as well is left out', async () => {
      const { pool, generation, options } = fixture;
      const other = await fixture.anotherGeneration();
      await fixture.catchUp(other);
      await pool.query(`update opstruth.generations set state = 'ready' where id = $1`, [other.id]);
      const decision = { actor: 'ops', reason: 'written by a broken deployment' };
      expect(await discardParked(generation, streamOf('bad'), decision, options)).toMatchObject({
        kind: 'cleared',
      });
    });

    test('what was done is not done where it cannot be recorded', async () => {
      const { options, generation } = fixture;
      const decision = { actor: 'ops', reason: 'a mistake' };
      const record = () => Promise.reject(new Error('no room'));
      await expect(discardParked(generation, streamOf('bad'), decision, options, record)).rejects.toThrow(
        'no room',
      );
      expect(await listParked(fixture.pool, generation)).toHaveLength(1);
      expect(await count(fixture, 'parked_events')).toBe(2);
    });

    test('too many of them stop the projector instead of hiding a broken deployment', async () => {
      await fixture.writeRaw('bad', 3, 'OperationRunNobodyKnows', {});
      await expect(fixture.catchUp(fixture.generation, { parkedLimit: 2 })).rejects.toThrow(ParkedLimitError);
    });
  });

  test("a stream of another kind, its name as long as a run's, parked the run of the same number", async () => {
    const { pool, store, generation } = fixture;
    await fixture.write([queue('42')]);
    await fixture.catchUp();
    const eventId = '00000000-0000-4000-8000-000000000042';
    const metadata = {
      actor: 'x',
      plane: 'worker' as const,
      commandId: eventId,
      correlationId: eventId,
      causationId: eventId,
    };
    const foreign = 'operation_job-42';
    expect(foreign).toHaveLength(streamOf('42').length);
    const events = [{ eventId, type: 'JobQueued', data: {}, metadata }];
    await store.append({ streamId: foreign, expectedRevision: 'no_stream', events });
    await fixture.write([
      { runId: '42', command: { kind: 'start' as const, at: '2026-01-01T00:01:00.000Z' } },
    ]);
    await fixture.catchUp();
    // EventStoreDB is asked for the streams of runs alone.
    const parked = fixture.log.kind === 'postgres' ? [foreign] : [];
    expect((await listParked(pool, generation)).map(({ streamId }) => streamId)).toEqual(parked);
    expect(await count(fixture, 'run_facts', 'not incomplete')).toBe(1);
  });

  test('an event of an unstorable type stopped the projector, which could not park it', async () => {
    const { pool, store, generation } = fixture;
    await fixture.write([queue('good'), queue('bad'), ...startedAndCancelled('bad')]);
    const odd = withOdd(store, 1, (event) => ({ ...event, type: 'Odd\u0000\ud83d' }));
    await fixture.catchUp(generation, { store: odd });
    expect(await listParked(pool, generation)).toMatchObject([
      { runId: 'bad', revision: 1, eventType: 'Odd\ufffd\ufffd', events: 2 },
    ]);
    expect(await count(fixture, 'runs')).toBe(2);
  });

  test('an event with U+0000 in an id stopped the projector and every replay', async () => {
    const { pool, store, generation } = fixture;
    await fixture.write([queue('good'), queue('bad'), ...startedAndCancelled('bad')]);
    const odd = withOdd(store, 0, (event) => ({
      ...event,
      data: { ...(event.data as object), workspaceId: 'w\u0000' },
    }));
    await fixture.catchUp(generation, { store: odd });
    expect(await listParked(pool, generation)).toMatchObject([{ runId: 'bad', revision: 0, events: 3 }]);
    expect(await count(fixture, 'runs')).toBe(1);
  });

  test('a surface that could not show what an event did parked the run from the first event of the batch on', async () => {
    const { pool, generation, options } = fixture;
    await fixture.write([queue('good'), queue('bad'), ...startedAndCancelled('bad')]);
    const surfaces = unableToShow(
      options.surfaces,
      ({ facts }) => facts.runId === 'bad' && facts.status === 'completed',
    );
    const parkedAndShown = async (one: Generation) => {
      const { rows } = await pool.query(
        `select f.run_id, f.incomplete, l.status
         from ${one.schema}.run_facts f join ${one.schema}.runs l using (run_id) order by 1`,
      );
      return {
        parked: (await listParked(pool, one)).map(({ revision, cause }) => ({ revision, cause })),
        rows,
      };
    };
    await fixture.catchUp(generation, { surfaces });
    const inOneBatch = await parkedAndShown(generation);
    expect(inOneBatch).toMatchObject({
      parked: [{ revision: 2, cause: 'Error: cannot show this' }],
      rows: [
        { run_id: 'bad', status: 'running', incomplete: true },
        { run_id: 'good', status: 'queued', incomplete: false },
      ],
    });
    const another = await fixture.anotherGeneration();
    await fixture.catchUp(another, { surfaces, batchSize: 1 });
    expect(await parkedAndShown(another)).toEqual(inOneBatch);
  });

  test('of a batch with an event that no surface can show, and one behind it that cannot be read, both are parked', async () => {
    await fixture.write([queue('bad'), ...startedAndCancelled('bad')]);
    await fixture.writeRaw('bad', 3, 'OperationRunNobodyKnows', {});
    const surfaces = unableToShow(
      fixture.options.surfaces,
      ({ facts }) => facts.runId === 'bad' && facts.status === 'completed',
    );
    await fixture.catchUp(fixture.generation, { surfaces });
    expect(await listParked(fixture.pool, fixture.generation)).toMatchObject([{ revision: 2, events: 2 }]);
  });

  test('a surface that throws on one run parks that run alone', async () => {
    await fixture.write([queue('good'), queue('bad')]);
    const surfaces = unableToShow(fixture.options.surfaces, ({ facts }) => facts.runId === 'bad');
    await fixture.catchUp(fixture.generation, { surfaces });
    expect(await listParked(fixture.pool, fixture.generation)).toEqual([
      expect.objectContaining({ runId: 'bad', revision: 0, cause: 'Error: cannot show this' }),
    ]);
    expect(await count(fixture, 'runs')).toBe(1);
    expect(await retryParked(fixture.generation, streamOf('bad'), fixture.options)).toEqual({
      kind: 'cleared',
      events: 1,
    });
    expect(await count(fixture, 'runs')).toBe(2);
  });
});

/** The log as another writer may have left it: with one event of the bad run changed. */
function withOdd(
  store: EventStore,
  revision: number,
  change: (event: StoredEvent) => StoredEvent,
): EventStore {
  const isIt = (event: StoredEvent) => event.streamId === streamOf('bad') && event.revision === revision;
  return {
    ...store,
    readAll: async (...given) =>
      (await store.readAll(...given)).map((event) => (isIt(event) ? change(event) : event)),
  };
}
