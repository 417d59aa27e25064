import { LRUCache } from 'lru-cache';
import { evolve, FoldError } from '../domain/run-facts';
import type { RunContext, RunFacts } from '../domain/run-facts';
import type { EventStore } from '../event-store/event-store';
import { streamOf } from '../events/operation-run-events';
import type { RecordedRunEvent, StoredEvent } from '../events/operation-run-events';
import { parseEvent, UnreadableEventError } from '../events/parse-event';
import type { Position } from '../events/position';

export interface KnownRun {
  readonly facts: RunFacts;
  /** Of the run's last event. */
  readonly position: Position;
}

export interface LoadedRun {
  /** Null: the log has no such run. */
  readonly known: KnownRun | null;
  /** The whole stream if it was asked for, else empty. */
  readonly history: readonly RecordedRunEvent[];
  /** Read just now. Otherwise only a successful append proves that nobody has written since. */
  readonly fresh: boolean;
}

/** `cached`: the newest this process knows; `new`: presumed absent unless known; `fresh`: read on; `whole`: with history. */
export type Freshness = 'cached' | 'new' | 'fresh' | 'whole';

/** The revisions of a stream that operators have decided to leave out; the read side leaves out the same. */
export type DiscardedIn = (streamId: string) => Promise<ReadonlySet<number>>;

/** In memory whole until they are folded: a run that beat each minute for a day has 1,440 events. */
const STREAMS_AT_A_TIME = 100;

/** The facts of runs as the log has them, with those used of late kept in memory. */
export class RunLoader {
  private readonly cache: LRUCache<string, KnownRun>;

  constructor(
    private readonly store: Pick<EventStore, 'readStream' | 'readStreams'>,
    cacheBytes: number,
    private readonly discardedIn: DiscardedIn,
  ) {
    this.cache = new LRUCache({
      maxSize: cacheBytes,
      sizeCalculation: ({ facts }) => approximateBytes(facts),
    });
  }

  /** One entry per run asked for. A run whose stream cannot be read is an Error, and the others are none the worse. */
  async load(wanted: ReadonlyMap<string, Freshness>): Promise<Map<string, LoadedRun | Error>> {
    const loaded = new Map<string, LoadedRun | Error>();
    const unread: string[] = [];
    for (const [runId, freshness] of wanted) {
      const known = this.cache.get(runId) ?? null;
      if (freshness === 'cached' && known) loaded.set(runId, { known, history: [], fresh: false });
      else if (freshness === 'new') loaded.set(runId, { known, history: [], fresh: false });
      else unread.push(runId);
    }
    const [only] = unread;
    if (only !== undefined && unread.length === 1) {
      // The common case of one stale run: what came since is enough.
      const known = wanted.get(only) === 'whole' ? null : (this.cache.get(only) ?? null);
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
    if (loaded instanceof Error) throw loaded;
    return loaded?.known?.facts ?? null;
  }

  remember(runId: string, known: KnownRun): void {
    this.cache.set(runId, known);
  }

  forget(runId: string): void {
    this.cache.delete(runId);
  }

  private async readOn(
    runId: string,
    from: KnownRun | null,
    stored: readonly StoredEvent[],
  ): Promise<LoadedRun | Error> {
    try {
      return this.foldOn(runId, from, stored, NONE);
    } catch (error) {
      this.forget(runId);
      if (!(error instanceof UnreadableEventError || error instanceof FoldError))
        return error instanceof Error ? error : new Error(String(error));
      // Looked for only here: hardly any stream holds an event that somebody had to leave out.
      const discarded = await this.discardedIn(streamOf(runId));
      if (discarded.size === 0 || discarded.has(0)) return error;
      try {
        return this.foldOn(runId, from, stored, discarded);
      } catch (other) {
        return other instanceof Error ? other : new Error(String(other));
      }
    }
  }

  private foldOn(
    runId: string,
    from: KnownRun | null,
    stored: readonly StoredEvent[],
    discarded: ReadonlySet<number>,
  ): LoadedRun {
    const last = stored.at(-1);
    if (!last) return { known: from, history: [], fresh: true };
    const events = stored
      .filter(({ revision }) => !discarded.has(revision))
      .map((event) => parseEvent(event));
    let facts = from?.facts ?? null;
    for (const event of events) facts = evolve(steppedTo(facts, event.revision, discarded), event);
    if (!facts) throw new FoldError(`${last.streamId}: nothing is left of it`);
    const known = { facts: { ...facts, version: last.revision + 1 }, position: last.position };
    this.remember(runId, known);
    return { known, history: from ? [] : events, fresh: true };
  }
}

const NONE: ReadonlySet<number> = new Set();

/** Facts that have stepped over the discarded events before `revision`, and over no others. */
function steppedTo(
  facts: RunFacts | null,
  revision: number,
  discarded: ReadonlySet<number>,
): RunFacts | null {
  let version = facts?.version ?? 0;
  while (version < revision && discarded.has(version)) version += 1;
  return facts && { ...facts, version };
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
