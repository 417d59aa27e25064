import { indexesSql } from '../../src/projector/generation-schema';
import { generationById } from '../../src/projector/generations';
import { judgeFor } from '../../src/projector/live-classification';
import { ReplayEndedError } from '../../src/replay/building';
import { buildGeneration } from '../../src/replay/generation-build';
import { abortReplay, startReplay } from '../../src/replay/replays';
import { dumpGeneration } from '../support/projection';
import { eventually } from '../support/eventually';
import { createReplayWorld, OPERATOR } from './replay-world';

/** So small that there is more to do after the first step. */
const SMALL_STEPS = { blocksPerStep: 12, runsPerPage: 20 };

test.each([
  ['copies', false],
  ['loads', true],
])(
  'a builder that was paused while another %s the tables writes nothing more when it goes on',
  async (_, full) => {
    const { fixture, context, stricter, build } = await createReplayWorld();
    try {
      const { pool } = fixture;
      const generation = await startReplay(context, { policyVersion: stricter, full }, OPERATOR);
      const judge = await judgeFor(pool, generation);
      /** Waits after its first rows for as long as nobody lets it go on: as a process that gets no processor does. */
      const pausedBuilder = async () => {
        let goOn = (): void => undefined;
        const gate = new Promise<void>((resolve) => (goOn = resolve));
        let waits = false;
        const onStep = async () => {
          if ((await generationById(pool, generation.id))!.phase !== 'loading') return;
          waits = true;
          await gate;
        };
        const options = { ...fixture.options, judge, ...SMALL_STEPS, onStep };
        const outcome = buildGeneration(generation.id, options, new AbortController().signal).then(
          () => 'ready',
          (error: unknown) => error,
        );
        await eventually(() => Promise.resolve(waits));
        return { goOn, outcome };
      };
      const first = await pausedBuilder();
      const second = await pausedBuilder();
      first.goOn();
      expect(await first.outcome).toBeInstanceOf(ReplayEndedError);
      second.goOn();
      expect(await second.outcome).toBe('ready');
      const rows = await dumpGeneration(pool, generation.schema);
      await abortReplay(context, generation.id, OPERATOR);
      const undisturbed = await build(
        await startReplay(context, { policyVersion: stricter, full: true }, OPERATOR),
      );
      expect(rows).toEqual(await dumpGeneration(pool, undisturbed.schema));
    } finally {
      await fixture.close();
    }
  },
);

test('of two builders that made the same index one failed', async () => {
  const { fixture, context } = await createReplayWorld();
  try {
    const { pool, options } = fixture;
    const { id, schema } = await startReplay(context, { full: true }, OPERATOR);
    const halting = new AbortController();
    const halted = { ...options, onStep: async () => void ((await isIndexing()) && halting.abort()) };
    const isIndexing = async () => (await generationById(pool, id))!.phase === 'indexing';
    await buildGeneration(id, halted, halting.signal);
    // A builder that was paused, and goes on with the last index of all.
    const paused = await pool.connect();
    await paused.query(`begin; ${indexesSql(schema, options.surfaces).at(-1)!}`);
    const built = buildGeneration(id, options, new AbortController().signal);
    await eventually(async () => {
      const { rows } = await pool.query(
        `select from pg_stat_activity where wait_event_type = 'Lock' and query like 'create index%' and datname = current_database()`,
      );
      return rows.length === 1;
    });
    await paused.query('commit');
    paused.release();
    await built;
    expect((await generationById(pool, id))!.state).toBe('ready');
  } finally {
    await fixture.close();
  }
});
