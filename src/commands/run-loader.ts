import { LRUCache } from 'lru-cache';
import { evolve, stepOver } from '../domain/run-facts';
import type { DiscardedIn, RunContext, RunFacts } from '../domain/run-facts';
import type { EventStore } from '../event-store/event-store';
import { runEventSchemas, streamOf } from '../events/operation-run-events';
import type { RecordedRunEvent, StoredEvent } from '../events/operation-run-events';
import { parseEvent } from '../events/parse-event';
import type { Position } from '../events/position';

export interface KnownRun {
  readonly facts: RunFacts;
  /** Of the run's last event. */
  readonly position: Position;
  /** How many of its events the fold has stepped over. */
  readonly leftOut: number;
  /** The log holds more by now. */
  readonly behind: boolean;
}

export interface LoadedRun {
  /** Null: the log has no such run. */
  readonly known: KnownRun | null;
  /** The whole stream if it was asked for, else empty. */
  readonly history: readonly RecordedRunEvent[];
  /** Read just now. Otherwise only a successful append proves that nobody has written since. */
  readonly fresh: boolean;
}

/** Where a run belongs: all that a scope asks of it. */
export type Place = Pick<RunFacts, 'workspaceId' | 'tenantId'>;

/** A run of which no facts can be made. */
export interface LostRun {
  /** UnreadableEventError, FoldError or RunDiscardedError. */
  readonly error: Error;
  /** As the first event of its stream tells it; null where that one cannot be read either. */
  readonly place: Place | null;
}

/** `cached`: the newest this process knows; `new`: presumed absent unless known; `fresh`: read on; `whole`: with history. */
export type Freshness = 'cached' | 'new' | 'fresh' | 'whole';

/** Operators have left out the first event of a run: there is none any more, on no surface and for no command. */
export class RunDiscardedError extends Error {
  override readonly name = 'RunDiscardedError';
}

/** The events that operators have left out. */
export interface Discards {
  /** As of the last `refresh`. */
  readonly in: DiscardedIn;
  refresh(): Promise<unknown>;
}

const NOTHING: ReadonlySet<number> = new Set();
export const NO_DISCARDS: Discards = { in: () => NOTHING, refresh: () => Promise.resolve() };

/** In memory whole until they are folded: a run that beat each minute for a day has 1,440 events. */
const STREAMS_AT_A_TIME = 100;

/** The facts of runs as the log has them, with those used of late kept in memory. */
export class RunLoader {
  private readonly cache: LRUCache<string, KnownRun>;

  constructor(
    private readonly store: Pick<EventStore, 'readStream' | 'readStreams'>,
    cacheBytes: number,
    private readonly discards: Discards,
  ) {
    this.cache = new LRUCache({
      maxSize: cacheBytes,
      sizeCalculation: ({ facts }) => approximateBytes(facts),
    });
  }

  /** One entry per run asked for. One is lost without the others being the worse for it. Throws what the store throws. */
  async load(wanted: ReadonlyMap<string, Freshness>): Promise<Map<string, LoadedRun | LostRun>> {
    const loaded = new Map<string, LoadedRun | LostRun>();
    const unread: string[] = [];
    for (const [runId, freshness] of wanted) {
      const known = this.known(runId);
      const isNewest = freshness === 'new' || (freshness === 'cached' && known && !known.behind);
      if (isNewest) loaded.set(runId, { known, history: [], fresh: false });
      else unread.push(runId);
    }
    const [only] = unread;
    if (only !== undefined && unread.length === 1) {
      // The common case of one stale run: what came since is enough.
      const known = wanted.get(only) === 'whole' ? null : this.known(only);
      const events = await this.store.readStream(streamOf(only), known?.facts.version ?? 0);
      loaded.set(only, await this.readOn(only, known, events));
    } else if (unread.length > 1) {
      for (let from = 0; from < unread.length; from += STREAMS_AT_A_TIME) {
        const slice = unread.slice(from, from + STREAMS_AT_A_TIME);
        const streams = await this.store.readStreams(slice.map(streamOf));
        for (const runId of slice)
          loaded.set(runId, await this.readOn(runId, null, streams.get(streamOf(runId)) ?? []));
      }
    }
    return loaded;
  }

  /** The run as the log has it now. Throws when its stream cannot be read. */
  async read(runId: string): Promise<RunFacts | null> {
    const loaded = (await this.load(new Map([[runId, 'fresh']]))).get(runId);
    if (loaded && 'error' in loaded) throw loaded.error;
    return loaded?.known?.facts ?? null;
  }

  remember(runId: string, known: KnownRun): void {
    this.cache.set(runId, known);
  }

  forget(runId: string): void {
    this.cache.delete(runId);
  }

  /** What was folded before operators left one more of its events out is known no longer. */
  private known(runId: string): KnownRun | null {
    const known = this.cache.get(runId);
    return known && known.leftOut === this.discards.in(streamOf(runId)).size ? known : null;
  }

  private async readOn(
    runId: string,
    from: KnownRun | null,
    stored: readonly StoredEvent[],
  ): Promise<LoadedRun | LostRun> {
    const streamId = streamOf(runId);
    try {
      // Operators may have left one more of the events out while the last ones were on their way.
      const isOfNow = from === null || from.leftOut === this.discards.in(streamId).size;
      return isOfNow ? this.foldOn(runId, from, stored) : await this.readWhole(runId);
    } catch {
      this.forget(runId);
      // What cannot be folded may have been left out a moment ago.
      await this.discards.refresh();
      return this.readWhole(runId);
    }
  }

  private async readWhole(runId: string): Promise<LoadedRun | LostRun> {
    const stored = await this.store.readStream(streamOf(runId), 0);
    try {
      return this.foldOn(runId, null, stored);
    } catch (error) {
      return { error: error instanceof Error ? error : new Error(String(error)), place: placeOf(stored[0]) };
    }
  }

  private foldOn(runId: string, from: KnownRun | null, stored: readonly StoredEvent[]): LoadedRun {
    const discarded = this.discards.in(streamOf(runId));
    if (discarded.has(0))
      throw new RunDiscardedError(`run ${runId}: its first event was discarded, and the run with it`);
    const history: RecordedRunEvent[] = [];
    let facts = from?.facts ?? null;
    for (const event of stored) {
      if (discarded.has(event.revision)) facts = stepOver(facts, event);
      else {
        const parsed = parseEvent(event);
        facts = evolve(facts, parsed);
        history.push(parsed);
      }
    }
    const position = stored.at(-1)?.position ?? from?.position;
    if (!facts || !position) return { known: null, history: [], fresh: true };
    const known = { facts, position, leftOut: discarded.size, behind: false };
    this.remember(runId, known);
    return { known, history: from ? [] : history, fresh: true };
  }
}

/** What else the event says, or fails to say, does not matter here. */
const placeSchema = runEventSchemas.OperationRunQueued.pick({ workspaceId: true, tenantId: true });

function placeOf(first: StoredEvent | undefined): Place | null {
  return placeSchema.safeParse(first?.data).data ?? null;
}

/** A context never changes after it is queued, so it is measured once. */
const contextBytes = new WeakMap<RunContext, number>();

/** About what a run occupies, so that a few runs with everything at its limit cannot exhaust the memory. */
function approximateBytes(facts: RunFacts): number {
  const { context, timeline, failureSummary, lateReport } = facts;
  let ofContext = contextBytes.get(context);
  if (ofContext === undefined) {
    ofContext = 2 * JSON.stringify(context).length;
    contextBytes.set(context, ofContext);
  }
  const failures = failureSummary.length + (lateReport?.failureSummary.length ?? 0);
  return 2_000 + ofContext + 300 * timeline.length + 800 * failures;
}
