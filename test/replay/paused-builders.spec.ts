import { Client, DatabaseError } from 'pg';
import type { Pool } from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { connectionConfig } from '../../src/db/connection-config';
import type { EventStore } from '../../src/event-store/event-store';
import { indexesSql } from '../../src/projector/generation-schema';
import { generationById } from '../../src/projector/generations';
import { judgeFor } from '../../src/projector/live-classification';
import { buildGeneration } from '../../src/replay/build/generation-build';
import { isEnded } from '../../src/replay/replay-worker';
import { abortReplay, startReplay } from '../../src/replay/replays';
import { dumpGeneration } from '../support/projection';
import { eventually } from '../support/eventually';
import { inLogOrder } from '../support/log-order';
import { createReplayWorld, OPERATOR } from './replay-world';

/** So small that there is more to do after the first step. */
const SMALL_STEPS = { blocksPerStep: 12, runsPerPage: 20, eventsPerPage: 60, runsPerWrite: 20 };

const ADMIN_SHUTDOWN = '57P01';

const isReplaced = (outcome: unknown): boolean =>
  isEnded(outcome) || (outcome instanceof DatabaseError && outcome.code === ADMIN_SHUTDOWN);

test.each([
  ['copies the tables', 'loading', false, (store: EventStore) => store, { lanes: 2 }],
  ['copies the tables at once', 'loading', false, (store: EventStore) => store, { blocksPerStep: 1_000 }],
  ['folds the log, stream after stream or in its order,', 'folding', true, (store: EventStore) => store],
  ['loads the tables', 'loading', true, inLogOrder],
])(
  'a builder that was paused while another %s writes nothing more when it goes on',
  async (_, phase, full, order, { lanes = 1, ...steps }: { lanes?: number; blocksPerStep?: number } = {}) => {
    const { fixture, context, stricter, build } = await createReplayWorld();
    const paused: { readonly goOn: () => void }[] = [];
    try {
      const { pool } = fixture;
      const generation = await startReplay(context, { policyVersion: stricter, full }, OPERATOR);
      const judge = await judgeFor(pool, generation);
      /** Waits after its first rows for as long as nobody lets it go on: as a process that gets no processor does. */
      const pausedBuilder = async () => {
        let goOn = (): void => undefined;
        const gate = new Promise<void>((resolve) => (goOn = resolve));
        let waiting = 0;
        const onStep = async () => {
          if ((await generationById(pool, generation.id))!.phase !== phase) return;
          waiting += 1;
          await gate;
        };
        const options = {
          ...fixture.options,
          store: order(fixture.store),
          judge,
          ...SMALL_STEPS,
          ...steps,
          onStep,
        };
        const outcome = buildGeneration(generation.id, options, new AbortController().signal).then(
          () => 'ready',
          (error: unknown) => error,
        );
        paused.push({ goOn: () => goOn() });
        // All of them: one that is in a step when the other begins is ended by that, and the others with it.
        await eventually(() => Promise.resolve(waiting === lanes));
        return { goOn, outcome };
      };
      const first = await pausedBuilder();
      const second = await pausedBuilder();
      first.goOn();
      // The other lane of the first may have been in a step when the second began, whose session that one ends.
      expect(isReplaced(await first.outcome)).toBe(true);
      second.goOn();
      expect(await second.outcome).toBe('ready');
      const rows = await dumpGeneration(pool, generation.schema);
      await abortReplay(context, generation.id, OPERATOR);
      const undisturbed = await build(
        await startReplay(context, { policyVersion: stricter, full: true }, OPERATOR),
      );
      expect(rows).toEqual(await dumpGeneration(pool, undisturbed.schema));
    } finally {
      // Whatever has failed: a builder that waits has connections, which are waited for.
      for (const { goOn } of paused) goOn();
      await fixture.close();
    }
  },
);

test('of two builders that made the same index one failed', async () => {
  const { fixture, context } = await createReplayWorld();
  try {
    const { pool, options } = fixture;
    const { id, schema } = await startReplay(context, { full: true }, OPERATOR);
    const paused = await pool.connect();
    let goesOn: Promise<unknown> | undefined;
    const onStep = async () => {
      if ((await generationById(pool, id))!.phase !== 'indexing') return;
      // A builder that was paused, and goes on with the last index of all; both lanes come here, and wait for it.
      await (goesOn ??= paused.query(`begin; ${indexesSql(schema, options.surfaces).at(-1)!}`));
    };
    const built = buildGeneration(id, { ...options, onStep }, new AbortController().signal);
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

describe('a builder that was stopped in the middle of a COPY, which PostgreSQL waits for without end,', () => {
  /** As a process that is stopped: its session has a lock, and neither goes on nor ends. */
  const stoppedInCopy = async (pool: Pool, schema: string) => {
    const client = new Client(connectionConfig(pool));
    await client.connect();
    let ended = false;
    client.on('error', () => (ended = true));
    await client.query('begin');
    const stream = client.query(copyFrom(`copy ${schema}.run_facts (run_id) from stdin`));
    stream.on('error', () => (ended = true));
    stream.write('the beginning of a row');
    await eventually(async () => {
      const { rows } = await pool.query(
        `select from pg_locks where relation = '${schema}.run_facts'::regclass and mode = 'RowExclusiveLock'`,
      );
      return rows.length > 0;
    });
    return () => ended;
  };

  test('kept the next one waiting', async () => {
    const { fixture, context, stricter } = await createReplayWorld();
    try {
      const { pool, options } = fixture;
      const { id, schema } = await startReplay(context, { policyVersion: stricter }, OPERATOR);
      const hasEnded = await stoppedInCopy(pool, schema);
      await buildGeneration(id, options, new AbortController().signal);
      expect((await generationById(pool, id))!.state).toBe('ready');
      expect(hasEnded()).toBe(true);
    } finally {
      await fixture.close();
    }
  });

  test('kept an abort waiting', async () => {
    const { fixture, context } = await createReplayWorld();
    try {
      const { pool } = fixture;
      const { id, schema } = await startReplay(context, { full: true }, OPERATOR);
      const hasEnded = await stoppedInCopy(pool, schema);
      await abortReplay(context, id, OPERATOR);
      expect((await pool.query('select to_regnamespace($1) as schema', [schema])).rows).toEqual([
        { schema: null },
      ]);
      await eventually(() => Promise.resolve(hasEnded()));
    } finally {
      await fixture.close();
    }
  });
});
