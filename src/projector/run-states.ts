import { LRUCache } from 'lru-cache';
import type { Pool } from 'pg';
import type { ClassifiedRun } from '../classifier/classified-run';
import type { Judge } from '../domain/classification';
import { factsOf } from '../classifier/facts-document';
import type { FactsDocument } from '../classifier/facts-document';
import { isRunStream, runIdOf } from '../events/operation-run-events';
import type { StoredEvent } from '../events/operation-run-events';
import { classify } from './fold-batch';
import type { RunChange } from './fold-batch';

/**
 * The runs that the projector has at hand: those of recent batches, committed or about to be. One query per batch
 * fetches what is missing. Of no use once a commit has failed, for it may be ahead of the tables then.
 */
export class RunStates {
  private readonly cache: LRUCache<string, ClassifiedRun>;

  constructor(
    private readonly pool: Pool,
    private readonly schema: string,
    private readonly judge: Judge,
    capacity: number,
  ) {
    this.cache = new LRUCache({ max: capacity });
  }

  /**
   * The states of all runs in `events` that existed before them, as of the last batch that was `remember`ed. No event
   * may be among them that a batch has held already.
   */
  async before(events: readonly StoredEvent[]): Promise<Map<string, ClassifiedRun>> {
    const states = new Map<string, ClassifiedRun>();
    const missing = new Set<string>();
    const seen = new Set<string>();
    for (const event of events) {
      if (!isRunStream(event.streamId)) continue;
      const runId = runIdOf(event.streamId);
      if (seen.has(runId)) continue;
      seen.add(runId);
      const cached = this.cache.get(runId);
      if (cached) states.set(runId, cached);
      // A stream's first event has nothing before it.
      else if (event.revision > 0) missing.add(runId);
    }
    if (missing.size > 0)
      for (const run of await readStates(this.pool, this.schema, this.judge, [...missing]))
        states.set(run.facts.runId, run);
    return states;
  }

  remember(changes: ReadonlyMap<string, RunChange>): void {
    for (const [runId, { after }] of changes) this.cache.set(runId, after);
  }
}

/** What `run_facts` keeps of a run, besides what can be told from it. */
export interface StoredFacts {
  readonly facts: FactsDocument;
  readonly position: string;
  readonly incomplete: boolean;
}

export function classifiedRunOf({ facts, position, incomplete }: StoredFacts, judge: Judge): ClassifiedRun {
  return classify(factsOf(facts), judge, position, incomplete);
}

export async function readStates(
  pool: Pick<Pool, 'query'>,
  schema: string,
  judge: Judge,
  runIds: readonly string[],
): Promise<ClassifiedRun[]> {
  const { rows } = await pool.query<StoredFacts>({
    name: `${schema}.run_facts read`,
    text: `select facts, position, incomplete from ${schema}.run_facts where run_id = any($1::text[])`,
    values: [runIds],
  });
  return rows.map((row) => classifiedRunOf(row, judge));
}
