import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Pool, PoolClient } from 'pg';
import { cursorPages } from '../../db/cursor-pages';
import { inSnapshot } from '../../db/transaction';
import type { EventStore } from '../../event-store/event-store';
import { comparePositions } from '../../events/position';
import type { Position } from '../../events/position';
import { copyText } from '../../projector/copy-rows';
import { DiscardedEvents } from '../../projector/discarded-events';
import { FACTS, factsRow } from '../../projector/engine-rows';
import type { ParkedLetter } from '../../projector/fold-batch';
import type { Generation } from '../../projector/generations';
import { loadParkedStreams } from '../../projector/parked-streams';
import { refuseTooManyParked } from '../../projector/run-folding';
import { classifiedRunOf } from '../../projector/run-states';
import type { StoredFacts } from '../../projector/run-states';
import { contentOf, tablesOf } from '../../projector/surface-content';
import { parkedUpsert, scopePositionsUpsert } from '../../projector/table-writer';
import { inStep, refuseEnded } from './building';
import type { FoldLogOptions } from './fold-log';
import { laterThan } from './historical-end';
import { WholeStreams } from './whole-streams';
import type { FoldedStreams } from './whole-streams';
import { streamPages } from './stream-pages';
import type { StreamOrderedStore } from './stream-pages';
import { sendTexts, TableLoad } from './table-load';
import type { TableText } from './table-load';

/** Small, because nothing else of this process runs while a page is folded. */
const EVENTS_PER_PAGE = 1_000;

/** What one transaction writes, and memory holds beside a page. */
const RUNS_PER_WRITE = 1_000;

/** Of a log with few long streams the checkpoint is not to stand still for long. */
const EVENTS_PER_WRITE = 40_000;

/**
 * Folds the log as it is now, or up to where a historical generation ends, into a generation's tables, which have no indexes
 * yet: stream after stream, so that each run is made once, whole, with its rows and what it counts as. Goes on behind the last
 * stream that an earlier attempt has written. Throws ReplayEndedError and ParkedLimitError.
 */
export async function foldStreams(
  generation: Generation,
  options: FoldLogOptions & { readonly store: StreamOrderedStore },
  signal: AbortSignal,
): Promise<void> {
  const {
    pool,
    store,
    surfaces,
    judge,
    eventsPerPage = EVENTS_PER_PAGE,
    runsPerWrite = RUNS_PER_WRITE,
  } = options;
  const { upTo, foldedUpTo } = await begin(pool, generation, await endOf(generation, store));
  const tables = tablesOf(surfaces);
  const fold = new WholeStreams({
    judge,
    discardedIn: (await new DiscardedEvents(pool).refresh()).in,
    contentOf: (run) => contentOf(tables, run),
    endsStream: laterThan(generation),
  });
  let { letters } = await loadParkedStreams(pool, generation.schema);
  const load = new TableLoad(surfaces);
  if (foldedUpTo !== '') await countAgain(generation, load, options);
  const client = await pool.connect();
  let pending = new PendingStreams();
  let from = foldedUpTo;
  let writing: Promise<void> = Promise.resolve();
  const write = async () => {
    const stretch = { from, ...contentToWrite(pending, load) };
    await writing;
    writing = writeStreams(client, generation, stretch).then(options.onStep);
    writing.catch(() => undefined); // awaited before the next one, or below
    from = stretch.upTo;
    pending = new PendingStreams();
  };
  try {
    const stretch = { behind: from, upTo };
    for await (const { events, isLast } of streamPages(store, stretch, eventsPerPage, signal)) {
      await options.giveWay();
      const folded = fold.fold(events, isLast);
      letters += folded.parked.length;
      refuseTooManyParked(generation, letters, folded.parked, options.parkedLimit);
      pending.add(folded);
      if (pending.runs.length >= runsPerWrite || pending.events >= EVENTS_PER_WRITE) await write();
      await nextTurn();
    }
    if (pending.upTo !== null) await write();
    await writing;
    if (!signal.aborted) await finish(client, generation, { from, counted: load.counted() });
  } finally {
    await Promise.allSettled([writing]);
    client.release();
  }
}

/** The log's present end, or where a historical generation ends. */
async function endOf({ untilPosition }: Generation, store: EventStore): Promise<Position> {
  const tail = await store.tail();
  return untilPosition && comparePositions(untilPosition, tail) < 0 ? untilPosition : tail;
}

interface Begun {
  readonly upTo: Position;
  /** A stream's id; empty where there is none yet. */
  readonly foldedUpTo: string;
}

/** An attempt that goes on ends where the first one was to end. */
async function begin(pool: Pool, { id }: Generation, upTo: Position): Promise<Begun> {
  const { rows } = await pool.query<{ folded_up_to: string; commit: string; prepare: string }>(
    `update opstruth.generations
     set folded_up_to = coalesce(folded_up_to, ''), folds_to_commit = coalesce(folds_to_commit, $2),
         folds_to_prepare = coalesce(folds_to_prepare, $3)
     where id = $1 and state = 'building' and phase = 'folding'
     returning folded_up_to, folds_to_commit as commit, folds_to_prepare as prepare`,
    [id, upTo.commit, upTo.prepare],
  );
  refuseEnded(id, rows.length);
  const { folded_up_to: foldedUpTo, commit, prepare } = rows[0]!;
  return { upTo: { commit: BigInt(commit), prepare: BigInt(prepare) }, foldedUpTo };
}

/** What several folded pages come to. */
class PendingStreams {
  readonly runs: FoldedStreams['runs'][number][] = [];
  readonly letters: ParkedLetter[] = [];
  upTo: string | null = null;
  events = 0;

  add({ runs, letters, upTo, events }: FoldedStreams): void {
    this.runs.push(...runs);
    this.letters.push(...letters);
    this.upTo = upTo ?? this.upTo;
    this.events += events;
  }
}

/** To be written, made before a transaction is open. */
function contentToWrite({ runs, letters, upTo, events }: PendingStreams, load: TableLoad) {
  const folded = runs.map(({ after }) => after);
  const facts = { ...FACTS, text: copyText(FACTS.columns, folded.map(factsRow)) };
  // What is written has come to some stream's end.
  return {
    runs: folded,
    letters,
    upTo: upTo!,
    events,
    texts: [facts, ...load.rows(runs.map(({ content }) => content))],
  };
}

interface WrittenStreams extends ReturnType<typeof contentToWrite> {
  readonly from: string;
}

/** Compare-and-set: of two processes that fold the same streams one writes them. */
async function writeStreams(
  client: PoolClient,
  { id, schema }: Generation,
  { from, upTo, events, runs, texts, letters }: WrittenStreams,
): Promise<void> {
  const statements = [scopePositionsUpsert(schema, runs), parkedUpsert(schema, letters)];
  await inStep(client, async () => {
    const { rowCount } = await client.query(
      `update opstruth.generations
       set folded_up_to = $3, events_applied = events_applied + $4, checkpoint_at = clock_timestamp()
       where id = $1 and state = 'building' and phase = 'folding' and folded_up_to = $2`,
      [id, from, upTo, events],
    );
    refuseEnded(id, rowCount);
    await sendTexts(client, schema, texts);
    for (const statement of statements) if (statement) await client.query(statement);
  });
}

/** Counts the runs that an earlier attempt has written: its own count went with it. */
async function countAgain(
  { schema }: Generation,
  load: TableLoad,
  { pool, surfaces, judge }: FoldLogOptions,
): Promise<void> {
  const tables = tablesOf(surfaces);
  await inSnapshot(pool, async (reader) => {
    const select = `select facts, position, incomplete from ${schema}.run_facts`;
    for await (const rows of cursorPages<StoredFacts>(reader, select, RUNS_PER_WRITE))
      load.count(rows.map((row) => contentOf(tables, classifiedRunOf(row, judge))));
  });
}

/** Counts are written once, at the end. */
async function finish(
  client: PoolClient,
  { id, schema }: Generation,
  { from, counted }: { readonly from: string; readonly counted: readonly TableText[] },
): Promise<void> {
  await inStep(client, async () => {
    const { rowCount } = await client.query(
      `update opstruth.generations set phase = 'indexing', phase_started_at = clock_timestamp(),
         checkpoint_commit = folds_to_commit, checkpoint_prepare = folds_to_prepare
       where id = $1 and state = 'building' and phase = 'folding' and folded_up_to = $2`,
      [id, from],
    );
    refuseEnded(id, rowCount);
    await sendTexts(client, schema, counted);
  });
}
