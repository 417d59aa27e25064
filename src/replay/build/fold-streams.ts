import { setImmediate as nextTurn } from 'node:timers/promises';
import type { PoolClient } from 'pg';
import { cursorPages } from '../../db/cursor-pages';
import { inSnapshot } from '../../db/transaction';
import type { Position } from '../../events/position';
import { copyText } from '../../projector/copy-rows';
import { DiscardedEvents } from '../../projector/discarded-events';
import { FACTS, factsRow } from '../../projector/engine-rows';
import type { ParkedLetter } from '../../projector/fold-batch';
import type { Generation } from '../../projector/generations';
import { loadParkedStreams } from '../../projector/parked-streams';
import { refuseBeyondTail, refuseTooManyParked } from '../../projector/run-folding';
import { classifiedRunOf } from '../../projector/run-states';
import type { StoredFacts } from '../../projector/run-states';
import { parkedUpsert, scopePositionsUpsert } from '../../projector/table-writer';
import { inStep, refuseEnded } from './building';
import type { FoldLogOptions } from './fold-log';
import { beyondEnd } from './historical-end';
import { WholeStreams } from './whole-streams';
import type { FoldedStreams } from './whole-streams';
import { streamPages } from './stream-pages';
import type { ReadByStream } from './stream-pages';
import { sendTexts, TableLoad } from './table-load';
import type { TableText } from './table-load';
import { WriteBehind } from './write-behind';

/** Small, because nothing else of this process runs while a page is folded. */
const EVENTS_PER_PAGE = 1_000;

/** What one transaction writes, and memory holds beside a page. */
const RUNS_PER_WRITE = 1_000;

/** Of a log with few long streams more is not to be done once more after a kill. */
const EVENTS_PER_WRITE = 40_000;

export interface FoldStreamsOptions extends FoldLogOptions {
  readonly readByStream: ReadByStream;
}

/**
 * Folds the log as it is now, or up to where a historical generation by instant ends, into a generation's tables, which have no
 * indexes yet: stream after stream, so that each run is made once, whole, with its rows and what it counts as. Goes on behind the
 * last stream that an earlier attempt has written. Until `signal` aborts. Throws ReplayEndedError, ParkedLimitError and
 * CheckpointBeyondTailError.
 */
export async function foldStreams(
  generation: Generation,
  options: FoldStreamsOptions,
  signal: AbortSignal,
): Promise<void> {
  const { pool, surfaces, judge, readByStream, giveWay, onStep } = options;
  const { eventsPerPage = EVENTS_PER_PAGE, runsPerWrite = RUNS_PER_WRITE } = options;
  const { epoch, foldsTo, foldedUpTo } = await begin(generation, options);
  const load = new TableLoad(surfaces);
  if (foldedUpTo !== '') await countAgain(generation, load, options, signal);
  const streams = new WholeStreams({
    judge,
    discardedIn: (await new DiscardedEvents(pool).refresh()).in,
    contentOf: (run) => load.contentOf(run),
    isBeyondEnd: beyondEnd(generation),
  });
  let { letters } = await loadParkedStreams(pool, generation.schema);
  const client = await pool.connect();
  const writer = new WriteBehind();
  let pending = new PendingStreams();
  let from = foldedUpTo;
  const write = async () => {
    const written = { ...contentToWrite(pending, load), epoch, from };
    from = written.upTo;
    pending = new PendingStreams();
    await writer.write(() => writeStreams(client, generation, written).then(onStep));
  };
  try {
    const stretch = { behind: foldedUpTo, upTo: foldsTo };
    for await (const { events, isLast } of streamPages(readByStream, stretch, eventsPerPage, signal)) {
      await giveWay();
      const folded = streams.fold(events, isLast);
      letters += folded.newLetters.length;
      refuseTooManyParked(generation, letters, folded.newLetters, options.parkedLimit);
      pending.add(folded);
      if (pending.runs.length >= runsPerWrite || pending.events >= EVENTS_PER_WRITE) await write();
      await nextTurn();
    }
    if (pending.upTo !== null) await write();
    await writer.settled();
    if (!signal.aborted) await finish(client, generation, { epoch, from, counted: load.counted() });
  } finally {
    await writer.ended();
    client.release();
  }
}

interface Begun {
  /** Whoever is fenced, as by a discarded event that it does not know of, is of an older one. */
  readonly epoch: string;
  /** The log's end as it was when the first attempt began. */
  readonly foldsTo: Position;
  /** A stream's id; empty where none is done yet. */
  readonly foldedUpTo: string;
}

async function begin({ id }: Generation, { pool, store }: FoldStreamsOptions): Promise<Begun> {
  const tail = await store.tail();
  const { rows } = await pool.query<{ epoch: string; folded_up_to: string; commit: string; prepare: string }>(
    `update opstruth.generations
     set folded_up_to = coalesce(folded_up_to, ''), folds_to_commit = coalesce(folds_to_commit, $2),
         folds_to_prepare = coalesce(folds_to_prepare, $3)
     where id = $1 and state = 'building' and phase = 'folding'
     returning epoch, folded_up_to, folds_to_commit as commit, folds_to_prepare as prepare`,
    [id, tail.commit, tail.prepare],
  );
  refuseEnded(id, rows.length);
  const { epoch, folded_up_to: foldedUpTo, commit, prepare } = rows[0]!;
  const foldsTo = { commit: BigInt(commit), prepare: BigInt(prepare) };
  refuseBeyondTail(id, foldsTo, tail);
  return { epoch, foldsTo, foldedUpTo };
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
    texts: [facts, ...load.add(runs.map(({ content }) => content))],
  };
}

interface WrittenStreams extends ReturnType<typeof contentToWrite>, Pick<Begun, 'epoch'> {
  readonly from: string;
}

/** Compare-and-set: of two processes that fold the same streams one writes them. */
async function writeStreams(
  client: PoolClient,
  { id, schema }: Generation,
  { epoch, from, upTo, events, runs, texts, letters }: WrittenStreams,
): Promise<void> {
  const statements = [scopePositionsUpsert(schema, runs), parkedUpsert(schema, letters)];
  await inStep(client, async () => {
    const { rowCount } = await client.query(
      `update opstruth.generations
       set folded_up_to = $3, events_applied = events_applied + $4, checkpoint_at = clock_timestamp(),
         runs_loaded = greatest(1, runs_loaded + $6)
       where id = $1 and state = 'building' and phase = 'folding' and folded_up_to = $2 and epoch = $5`,
      [id, from, upTo, events, epoch, runs.length],
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
  { pool, judge, giveWay }: FoldStreamsOptions,
  signal: AbortSignal,
): Promise<void> {
  await inSnapshot(pool, async (reader) => {
    const select = `select facts, position, incomplete from ${schema}.run_facts`;
    for await (const rows of cursorPages<StoredFacts>(reader, select, RUNS_PER_WRITE)) {
      if (signal.aborted) return;
      await giveWay();
      load.count(rows.map((row) => load.contentOf(classifiedRunOf(row, judge))));
    }
  });
}

/** Counts are written once, at the end. */
async function finish(
  client: PoolClient,
  { id, schema }: Generation,
  {
    epoch,
    from,
    counted,
  }: Pick<WrittenStreams, 'epoch' | 'from'> & { readonly counted: readonly TableText[] },
): Promise<void> {
  await inStep(client, async () => {
    const { rowCount } = await client.query(
      `update opstruth.generations set phase = 'indexing', phase_started_at = clock_timestamp(),
         checkpoint_commit = folds_to_commit, checkpoint_prepare = folds_to_prepare
       where id = $1 and state = 'building' and phase = 'folding' and folded_up_to = $2 and epoch = $3`,
      [id, from, epoch],
    );
    refuseEnded(id, rowCount);
    await sendTexts(client, schema, counted);
  });
}
