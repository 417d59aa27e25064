import { surfaces } from '../../projections';
import { openPool } from '../../src/db/database';
import { createPostgresEventStore } from '../../src/event-store/postgres-event-store';
import { generationById } from '../../src/projector/generations';
import { judgeFor } from '../../src/projector/live-classification';
import { buildGeneration } from '../../src/replay/generation-build';

/** Builds a generation in small steps and prints a line for each: `step`, at last `ready`. */
async function main(url: string, id: number): Promise<void> {
  const pool = openPool(url, { max: 4, applicationName: 'test build' });
  const store = createPostgresEventStore({ pool, onError: (error) => console.error(error) });
  const generation = await generationById(pool, id);
  const options = {
    pool,
    store,
    surfaces,
    judge: await judgeFor(pool, generation!),
    batchSize: 100,
    eventsPerPage: 60,
    runsPerWrite: 40,
    runsPerPage: 100,
    onStep: () => console.log('step'),
    onBatch: () => console.log('step'),
  };
  await buildGeneration(id, options, new AbortController().signal);
  console.log('ready');
  await store.close();
  await pool.end();
}

void main(process.argv[2]!, Number(process.argv[3]));
