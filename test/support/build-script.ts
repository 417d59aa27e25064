import { surfaces } from '../../projections/surfaces';
import { openPool } from '../../src/db/database';
import { generationById } from '../../src/projector/generations';
import { judgeFor } from '../../src/projector/live-classification';
import { buildGeneration } from '../../src/replay/build/generation-build';
import { openTestStore } from './test-log';
import type { TestLog } from './test-log';

/** Builds a generation in small steps and prints a line for each: `step`, at last `ready`. */
async function main(url: string, log: string, id: number): Promise<void> {
  const pool = openPool(url, { max: 4, applicationName: 'test build' });
  const store = openTestStore(JSON.parse(log) as TestLog, pool);
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
    // Nobody brings the live generation forward here.
    patienceMs: 0,
    onStep: () => console.log('step'),
    onBatch: () => console.log('step'),
  };
  await buildGeneration(id, options, new AbortController().signal);
  console.log('ready');
  await store.close();
  await pool.end();
}

void main(process.argv[2]!, process.argv[3]!, Number(process.argv[4]));
