import { setImmediate as nextTurn } from 'node:timers/promises';
import type { PoolClient } from 'pg';
import { copyIn, copyText } from '../../projector/copy-rows';
import type { FoldedBatch, ParkedLetter, RunChange } from '../../projector/fold-batch';
import type { Generation } from '../../projector/generations';
import { CACHED_RUNS, fencedOr, moveCheckpoint, openFolding } from '../../projector/run-folding';
import type { FoldingOptions, Stretch } from '../../projector/run-folding';
import { FACTS, factsRow } from '../../projector/engine-rows';
import { factsUpdate, parkedUpsert, scopePositionsUpsert } from '../../projector/table-writer';
import { inStep } from './building';
import type { StepOptions } from './building';
import { logPages } from './log-pages';
import { WriteBehind } from './write-behind';

/** Small, because nothing else of this process runs while a page is folded. */
const EVENTS_PER_PAGE = 1_000;

/** A run that ends before its facts are written is written once; the others once more each time. Memory holds them all. */
const RUNS_PER_WRITE = 5_000;
/** Runs that beat for days must not keep the checkpoint back: what lies behind it is not folded twice after a kill. */
const EVENTS_PER_WRITE = 40_000;

export interface FoldLogOptions extends FoldingOptions, StepOptions {
  /** (Default: 1000) */
  readonly eventsPerPage?: number;
  /** (Default: 5000 in log order, 1000 stream after stream) */
  readonly runsPerWrite?: number;
}

/** Folds the log into a generation's run facts, and nothing else: from its checkpoint to its end, or until `signal` aborts. */
export async function foldLog(
  { id }: Generation,
  options: FoldLogOptions,
  signal: AbortSignal,
): Promise<void> {
  const { eventsPerPage = EVENTS_PER_PAGE, onStep } = options;
  const runsPerWrite = Math.min(options.runsPerWrite ?? RUNS_PER_WRITE, CACHED_RUNS / 2);
  // No surface is shown anything yet: the tables are loaded when the facts are what they come to.
  const folding = await openFolding(id, { ...options, surfaces: [], cachedRuns: CACHED_RUNS });
  const { generation } = folding;
  const client = await options.pool.connect();
  let pending = new PendingFacts();
  const writer = new WriteBehind();
  const write = async () => {
    const whole = pending;
    pending = new PendingFacts();
    await writer.write(() => writeFacts(client, generation, whole).then(onStep));
  };
  try {
    for await (const { events, upTo } of logPages(options.store, generation, eventsPerPage, signal)) {
      await options.giveWay();
      pending.add(await folding.fold(events, upTo));
      if (pending.changes.size >= runsPerWrite || pending.events >= EVENTS_PER_WRITE) await write();
      await nextTurn();
    }
    if (pending.stretch) await write();
    await writer.settled();
  } finally {
    await writer.ended();
    client.release();
  }
}

/** What several folded pages come to. */
class PendingFacts {
  readonly changes = new Map<string, RunChange>();
  readonly letters: ParkedLetter[] = [];
  stretch: Stretch | null = null;

  get events(): number {
    return this.stretch?.eventCount ?? 0;
  }

  add({ changes, letters, from, to, eventCount }: FoldedBatch & Stretch): void {
    for (const [runId, change] of changes) {
      const earlier = this.changes.get(runId);
      this.changes.set(runId, earlier ? { ...change, before: earlier.before } : change);
    }
    this.letters.push(...letters);
    this.stretch = this.stretch
      ? { from: this.stretch.from, to, eventCount: this.stretch.eventCount + eventCount }
      : { from, to, eventCount };
  }
}

async function writeFacts(client: PoolClient, generation: Generation, pending: PendingFacts): Promise<void> {
  const { schema } = generation;
  const changes = [...pending.changes.values()];
  const runs = changes.map(({ after }) => after);
  const known = changes.filter(({ before }) => before !== null).map(({ after }) => after);
  const unknown = changes.filter(({ before }) => before === null).map(({ after }) => factsRow(after));
  const text = copyText(FACTS.columns, unknown);
  const statements = [
    factsUpdate(schema, known),
    scopePositionsUpsert(schema, runs),
    parkedUpsert(schema, pending.letters),
  ].filter((statement) => statement !== null);
  await inStep(client, async () => {
    // What is written has a stretch.
    await client.query(moveCheckpoint(generation, pending.stretch!));
    await copyIn(client, `${schema}.${FACTS.name}`, FACTS.columns, text);
    for (const statement of statements) await client.query(statement);
  }).catch((error: unknown) => {
    throw fencedOr(error);
  });
}
