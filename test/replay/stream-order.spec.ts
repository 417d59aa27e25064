import { streamOf } from '../../src/events/operation-run-events';
import { generationById } from '../../src/projector/generations';
import type { Generation } from '../../src/projector/generations';
import { discardParked, listParked } from '../../src/projector/parked-streams';
import { ParkedLimitError } from '../../src/projector/run-folding';
import type { BuildOptions } from '../../src/replay/build/generation-build';
import { buildGeneration } from '../../src/replay/build/generation-build';
import { abortReplay, retireGeneration, startReplay } from '../../src/replay/replays';
import { simulateWorkload } from '../../src/simulator/workload';
import { createProjectionFixture, dumpGeneration } from '../support/projection';
import { inLogOrder } from '../support/log-order';
import { createReplayWorld, OPERATOR, WORKLOAD } from './replay-world';
import type { ReplayWorld } from './replay-world';

/** A build that reads stream after stream against one that reads in log order and against the projector. */
describe('a build from the log', () => {
  let fixture: ReplayWorld['fixture'];
  let context: ReplayWorld['context'];
  const at = (second: number) => `2026-01-01T00:00:${String(second).padStart(2, '0')}.000Z`;

  beforeEach(async () => {
    ({ fixture, context } = await createReplayWorld());
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

  const queued = {
    occurredAt: at(0),
    workspaceId: 'w',
    tenantId: 't',
    type: 'backup',
    initiator: null,
    context: {},
    summaryCounts: null,
    predecessorRunId: null,
    origin: null,
  };
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
        await beats(runId, 3, 4);
      } else await beats(runId, 2, 9);
    }
    await fixture.writeRaw('parked-at-the-end', 11, 'Unheard', {});
    await fixture.writeRaw('never-queued', 0, 'OperationRunStarted', { occurredAt: at(0) });
    await beats('never-queued', 1, 4);
    // Ids are ordered by their bytes.
    await fixture.writeRaw('Ünder', 0, 'OperationRunQueued', queued);
    await fixture.catchUp();
    const decision = { actor: 'olga', reason: 'a broken deployment' };
    await discardParked(generation, streamOf('left-out-in-the-middle'), decision, options);
  }

  test.each([
    [2, 1],
    [5, 1_000],
    [1_000, 1_000],
  ])(
    'in pages of %i events and writes of %i runs comes to what the projector has',
    async (eventsPerPage, runsPerWrite) => {
      await writeOddStreams();
      const live = await dumpGeneration(fixture.pool, fixture.generation.schema);
      expect((await listParked(fixture.pool, fixture.generation)).map(({ runId }) => runId)).toEqual([
        'never-queued',
        'parked-at-the-end',
        'parked-in-the-middle',
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
    ['a position in the middle of the log', 'middle'],
  ])('up to %s comes to the same in either order', async (_, end) => {
    await writeOddStreams();
    const events = await fixture.store.readAll({ commit: 0n, prepare: 0n }, 10_000);
    const until =
      typeof end === 'string' ? { position: events[Math.floor(events.length * 0.6)]!.position } : end;
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
    const empty = await createProjectionFixture();
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
