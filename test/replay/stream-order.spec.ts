import { randomUUID } from 'node:crypto';
import type { EventStore } from '../../src/event-store/event-store';
import { streamOf } from '../../src/events/operation-run-events';
import { START } from '../../src/events/position';
import { generationById } from '../../src/projector/generations';
import type { Generation } from '../../src/projector/generations';
import { discardParked, listParked } from '../../src/projector/parked-streams';
import { projectionStatus } from '../../src/projector/projection-status';
import { CheckpointBeyondTailError, ParkedLimitError } from '../../src/projector/run-folding';
import type { BuildOptions } from '../../src/replay/build/generation-build';
import { buildGeneration } from '../../src/replay/build/generation-build';
import { isEnded } from '../../src/replay/replay-worker';
import { abortReplay, retireGeneration, startReplay } from '../../src/replay/replays';
import { simulateWorkload } from '../../src/simulator/workload';
import { createProjectionFixture, dumpGeneration, TEST_POLICY } from '../support/projection';
import { inLogOrder } from '../support/log-order';
import { queuedData } from '../support/queue-command';
import { createReplayWorld, OPERATOR, WORKLOAD } from './replay-world';
import type { ReplayWorld } from './replay-world';

const OF_OTHERS = {
  actor: 'others',
  plane: 'worker',
  commandId: '',
  correlationId: '',
  causationId: '',
} as const;

/** A build that reads stream after stream against one that reads in log order and against the projector. */
describe('a build from the log', () => {
  let fixture: ReplayWorld['fixture'];
  let context: ReplayWorld['context'];
  const at = (second: number) => `2026-01-01T00:00:${String(second).padStart(2, '0')}.000Z`;

  beforeEach(async () => {
    ({ fixture, context } = await createReplayWorld('postgres'));
  });
  afterEach(() => fixture.close());

  async function build(
    generation: Generation,
    options: Partial<BuildOptions>,
    signal = new AbortController().signal,
  ): Promise<Generation> {
    await buildGeneration(generation.id, { ...fixture.options, ...options }, signal);
    return (await generationById(fixture.pool, generation.id))!;
  }

  const queued = queuedData(at(0));
  const beats = async (runId: string, from: number, count: number) => {
    for (let revision = from; revision < from + count; revision++)
      await fixture.writeRaw(runId, revision, 'OperationRunProgressed', {
        occurredAt: at(revision),
        summaryCounts: null,
      });
  };

  /** Streams that are longer than a page, and parked at their beginning, in their middle and at their end. */
  async function writeOddStreams(): Promise<void> {
    const { generation, options } = fixture;
    for (const runId of ['long', 'parked-in-the-middle', 'left-out-in-the-middle', 'parked-at-the-end']) {
      await fixture.writeRaw(runId, 0, 'OperationRunQueued', queued);
      await fixture.writeRaw(runId, 1, 'OperationRunStarted', { occurredAt: at(1) });
      if (runId.endsWith('middle')) {
        await fixture.writeRaw(runId, 2, 'OperationRunProgressed', { occurredAt: 42 });
        // On for longer than two pages.
        await beats(runId, 3, 16);
      } else await beats(runId, 2, 9);
    }
    await fixture.writeRaw('parked-at-the-end', 11, 'Unheard', {});
    await fixture.writeRaw('never-queued', 0, 'OperationRunStarted', { occurredAt: at(0) });
    await beats('never-queued', 1, 4);
    // As only SQL writes them: a stream without a name, and a run without an id.
    for (const streamId of ['', streamOf('')])
      await fixture.pool.query(
        `insert into opstruth.events (stream_id, revision, event_id, type, data, metadata)
         values ($1, 0, gen_random_uuid(), 'OperationRunQueued', $2, $3)`,
        [streamId, JSON.stringify(queued), JSON.stringify(OF_OTHERS)],
      );
    // Ids are ordered by their bytes.
    await fixture.writeRaw('Ünder', 0, 'OperationRunQueued', queued);
    await fixture.catchUp();
    const decision = { actor: 'olga', reason: 'a broken deployment' };
    await discardParked(generation, streamOf('left-out-in-the-middle'), decision, options);
  }

  test.each([
    [7, 3],
    [5, 1_000],
    [1_000, 1_000],
  ])(
    'in pages of %i events and writes of %i runs comes to what the projector has',
    async (eventsPerPage, runsPerWrite) => {
      await writeOddStreams();
      const live = await dumpGeneration(fixture.pool, fixture.generation.schema);
      expect((await listParked(fixture.pool, fixture.generation)).map(({ streamId }) => streamId)).toEqual([
        '',
        ...['', 'never-queued', 'parked-at-the-end', 'parked-in-the-middle'].map(streamOf),
      ]);
      const built = await build(await startReplay(context, { full: true }, OPERATOR), {
        eventsPerPage,
        runsPerWrite,
      });
      expect(await dumpGeneration(fixture.pool, built.schema)).toEqual(live);
      const { checkpoint, eventsApplied } = (await generationById(fixture.pool, fixture.generation.id))!;
      expect(built).toMatchObject({ checkpoint, eventsApplied });
    },
  );

  test.each([
    ['an instant inside of streams', { at: at(5) }],
    ['an instant before any', { at: '2025-01-01T00:00:00.000Z' }],
  ])('up to %s comes to the same in either order', async (_, until) => {
    await writeOddStreams();
    // Behind what came after the instant nothing counts, whatever its own time, for longer than a page.
    await fixture.writeRaw('back-in-time', 0, 'OperationRunQueued', queued);
    await fixture.writeRaw('back-in-time', 1, 'OperationRunStarted', { occurredAt: at(30) });
    for (let revision = 2; revision < 12; revision++)
      await fixture.writeRaw('back-in-time', revision, 'OperationRunProgressed', {
        occurredAt: at(2),
        summaryCounts: null,
      });
    const small = { eventsPerPage: 7, runsPerWrite: 5 };
    const one = await build(await startReplay(context, { until }, OPERATOR), small);
    const other = await build(await startReplay(context, { until }, OPERATOR), {
      ...small,
      store: inLogOrder(fixture.store),
    });
    const rows = await dumpGeneration(fixture.pool, one.schema);
    expect(rows).toEqual(await dumpGeneration(fixture.pool, other.schema));
    expect(one.eventsApplied).toBe(other.eventsApplied);
    for (const { id } of [one, other]) await retireGeneration(context, id, OPERATOR);
  });

  test('up to a position reads nothing behind it', async () => {
    const events = await fixture.store.readAll(START, 1_000);
    const until = { position: events.at(-1)!.position };
    const readByStream = () => Promise.reject(new Error('all streams are read for a part of the log'));
    const built = await build(await startReplay(context, { until }, OPERATOR), {
      store: { ...fixture.store, readByStream },
    });
    expect(built).toMatchObject({ state: 'ready', checkpoint: until.position, eventsApplied: 1_000 });
  });

  test('that was killed goes on up to where it was to end at first, and counts what it has written once', async () => {
    const generation = await startReplay(context, { full: true }, OPERATOR);
    const halting = new AbortController();
    const small = { eventsPerPage: 60, runsPerWrite: 20 };
    const halted = await build(generation, { ...small, onStep: () => halting.abort() }, halting.signal);
    expect(halted).toMatchObject({ state: 'building', phase: 'folding' });
    expect(halted.eventsApplied).toBeGreaterThan(0);
    // Of streams that lie before and behind the one it came to.
    await fixture.write(simulateWorkload({ ...WORKLOAD, seed: 12, runs: 20, idPrefix: 'a-' }));
    await fixture.write(simulateWorkload({ ...WORKLOAD, seed: 13, runs: 20, idPrefix: 'z-' }));
    await fixture.catchUp();
    const built = await build(generation, small);
    expect(built.state).toBe('ready');
    expect(await dumpGeneration(fixture.pool, built.schema)).toEqual(
      await dumpGeneration(fixture.pool, fixture.generation.schema),
    );
    expect(built.eventsApplied).toBe(
      (await generationById(fixture.pool, fixture.generation.id))!.eventsApplied,
    );
  });

  test('that was begun stream after stream cannot be taken up in log order, as an older version would', async () => {
    const generation = await startReplay(context, { full: true }, OPERATOR);
    const halting = new AbortController();
    const small = { eventsPerPage: 60, runsPerWrite: 20 };
    const halted = await build(generation, { ...small, onStep: () => halting.abort() }, halting.signal);
    const older = { ...small, store: inLogOrder(fixture.store) };
    await expect(build(generation, older)).rejects.toThrow('generations_folded_in_one_order');
    expect(await generationById(fixture.pool, generation.id)).toMatchObject({
      state: 'building',
      phase: 'folding',
      eventsApplied: halted.eventsApplied,
    });
    const built = await build(generation, small);
    expect(await dumpGeneration(fixture.pool, built.schema)).toEqual(
      await dumpGeneration(fixture.pool, fixture.generation.schema),
    );
  });

  test('up to an instant that was begun stream after stream cannot be emptied by an older version', async () => {
    const { pool } = fixture;
    const until = { at: '2026-01-01T00:40:00.000Z' };
    const generation = await startReplay(context, { until }, OPERATOR);
    const halting = new AbortController();
    const small = { eventsPerPage: 60, runsPerWrite: 20 };
    await build(generation, { ...small, onStep: () => halting.abort() }, halting.signal);
    // What such a version does first with a build up to an instant that has begun.
    const emptying = pool.query(
      `truncate ${generation.schema}.run_facts;
       update opstruth.generations set runs_loaded = 0, epoch = epoch + 1 where id = ${generation.id}`,
    );
    await expect(emptying).rejects.toThrow('generations_folded_in_one_order');
    const built = await build(generation, small);
    const other = await build(await startReplay(context, { until }, OPERATOR), small);
    expect(await dumpGeneration(pool, built.schema)).toEqual(await dumpGeneration(pool, other.schema));
  });

  test('of which an older version had read, in log order, only what does not count, could not be built', async () => {
    const until = { at: '2025-01-01T00:00:00.000Z' };
    const { id } = await startReplay(context, { until }, OPERATOR);
    await fixture.pool.query(
      `update opstruth.generations set checkpoint_commit = 1, checkpoint_prepare = 1 where id = $1`,
      [id],
    );
    const generation = (await generationById(fixture.pool, id))!;
    expect(await build(generation, {})).toMatchObject({ state: 'ready', eventsApplied: 0 });
  });

  test('that has hardly begun was said to have no lag', async () => {
    const { pool, store } = fixture;
    const generation = await startReplay(context, { full: true }, OPERATOR);
    const halting = new AbortController();
    const small = { eventsPerPage: 60, runsPerWrite: 20, onStep: () => halting.abort() };
    await build(generation, small, halting.signal);
    const { generations } = await projectionStatus(pool, store, context.clock);
    const status = generations.find((one) => one.generation === generation.id)!;
    expect(status.lag.events).toBeGreaterThan(1_000);
  });

  test('of which the log has been taken away meanwhile stops, and is not ready without it', async () => {
    const empty = await createProjectionFixture(TEST_POLICY, 'postgres');
    try {
      const generation = await startReplay(context, { full: true }, OPERATOR);
      const halting = new AbortController();
      await build(
        generation,
        { eventsPerPage: 60, runsPerWrite: 20, onStep: () => halting.abort() },
        halting.signal,
      );
      await expect(build(generation, { store: empty.store })).rejects.toThrow(CheckpointBeyondTailError);
    } finally {
      await empty.close();
    }
  });

  test.each([
    ['stream after stream', (store: EventStore) => store],
    ['in log order', inLogOrder],
  ])(
    "%s did not hear of an event that was discarded meanwhile in a stream that is no run's",
    async (_, order) => {
      const { pool, store, generation: live, options } = fixture;
      const streamId = 'zzz-of-others';
      await store.append({
        streamId,
        expectedRevision: 'no_stream',
        events: [{ eventId: randomUUID(), type: 'Other', data: {}, metadata: OF_OTHERS }],
      });
      await fixture.writeRaw('after', 0, 'OperationRunQueued', queued);
      await fixture.catchUp();
      const generation = await startReplay(context, { full: true }, OPERATOR);
      let discarded: Promise<unknown> | null = null;
      const onStep = async () => {
        discarded ??= discardParked(live, streamId, { actor: 'olga', reason: 'not ours' }, options);
        await discarded;
      };
      const small = { eventsPerPage: 60, runsPerWrite: 20, store: order(store), onStep };
      const fenced = await build(generation, small).catch((error: unknown) => error);
      expect(isEnded(fenced)).toBe(true);
      const built = await build(generation, small);
      expect(built.state).toBe('ready');
      expect(await listParked(pool, built)).toEqual([]);
    },
  );

  test('that an older version began in log order is begun anew', async () => {
    const generation = await startReplay(context, { full: true }, OPERATOR);
    const halting = new AbortController();
    const small = { eventsPerPage: 60, runsPerWrite: 20 };
    const older = { ...small, store: inLogOrder(fixture.store), onStep: () => halting.abort() };
    const halted = await build(generation, older, halting.signal);
    expect(halted).toMatchObject({ state: 'building', phase: 'folding', foldedUpTo: null });
    expect(halted.eventsApplied).toBeGreaterThan(0);
    const built = await build(generation, small);
    expect(await dumpGeneration(fixture.pool, built.schema)).toEqual(
      await dumpGeneration(fixture.pool, fixture.generation.schema),
    );
  });

  test('stops where more streams fail than a few bad ones', async () => {
    for (const n of [1, 2, 3]) await fixture.writeRaw(`bad-${n}`, 0, 'Unheard', {});
    const generation = await startReplay(context, { full: true }, OPERATOR);
    await expect(build(generation, { parkedLimit: 2 })).rejects.toThrow(ParkedLimitError);
    await abortReplay(context, generation.id, OPERATOR);
  });

  test('of an empty log is ready at once', async () => {
    const empty = await createProjectionFixture(TEST_POLICY, 'postgres');
    try {
      const beside = { ...context, pool: empty.pool, store: empty.store };
      const { id } = await startReplay(beside, { full: true }, OPERATOR);
      await buildGeneration(id, empty.options, new AbortController().signal);
      expect(await generationById(empty.pool, id)).toMatchObject({ state: 'ready', eventsApplied: 0 });
    } finally {
      await empty.close();
    }
  });
});
