import { surfaces } from '../../projections/surfaces';
import { openPool } from '../../src/db/database';
import { createLease } from '../../src/projector/lease';
import { judgeFor } from '../../src/projector/live-classification';
import { createProjectorHealth, runProjectorRole } from '../../src/projector/projector-role';
import { openTestStore } from './test-log';
import type { TestLog } from './test-log';

const TTL_SECONDS = 1;

/** A projector process: prints `batch N` (the events of it) and `fenced` when its memory was overtaken. */
function main(url: string, log: string, name: string): void {
  const pool = openPool(url, { max: 4, applicationName: name });
  const store = openTestStore(JSON.parse(log) as TestLog, pool);
  const health = createProjectorHealth();
  void runProjectorRole(
    {
      pool,
      store,
      surfaces,
      batchSize: 100,
      lease: createLease(pool, 'projector', name, TTL_SECONDS),
      leaseTtlSeconds: TTL_SECONDS,
      lookEveryMs: 50,
      judgeFor: (generation) => judgeFor(pool, generation),
      onBatch: ({ events }) => console.log(`batch ${events}`),
      log: {
        info: (_fields, message) => console.log(message),
        error: (fields, message) => console.log(message, JSON.stringify(fields)),
      },
    },
    health,
    new AbortController().signal,
  );
}

main(process.argv[2]!, process.argv[3]!, process.argv[4]!);
