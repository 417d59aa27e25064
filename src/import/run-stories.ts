import { LRUCache } from 'lru-cache';
import type { EventStore } from '../event-store/event-store';
import { createDigestTable } from '../tools/digest-table';
import type { ImportIdentity } from './run-pass';
import { COUNTED_STATES, markOf, storyAt, streamsToBegin, streamToTell, workOn } from './run-story';
import type { CountedState, RunStory, RunWork, StoryMark, Streams } from './run-story';
import type { Statement } from './statement';

/** Statements by the source's id of their run, in order. */
export type StatementsByRun = ReadonlyMap<string, readonly Statement[]>;
export type Works = Map<string, RunWork>;

/** How many stored events' worth of stories stay in memory (about 3 kB of facts count as 4 events). */
const DEFAULT_CACHE_WEIGHT = 60_000;
const STORY_WEIGHT = 4;
/** Room for COUNTED_STATES and for none of them. */
const COUNTED_SLOTS = 16;
const NOT_BEGUN: StoryMark = { incarnation: 0, version: 0, stragglers: [], leftOut: [] };

/**
 * The stories of all runs of a pass: those used last in memory, of the others a mark from which the log tells them
 * again. A story is out with the chunk that works on it and comes back when that chunk has been written.
 */
export class RunStories {
  private readonly cache: LRUCache<string, RunStory>;
  /** Of runs not in memory: the version, then incarnation and counted state in one number. */
  private readonly ledger = createDigestTable();
  /** Of the few of those that have any. */
  private readonly stragglers = new Map<string, readonly string[]>();
  private readonly leftOut = new Map<string, readonly string[]>();

  constructor(
    private readonly store: EventStore,
    private readonly identity: ImportIdentity,
    private readonly cacheWeight = DEFAULT_CACHE_WEIGHT,
  ) {
    this.cache = new LRUCache({
      maxSize: cacheWeight,
      sizeCalculation: ({ pass }) => STORY_WEIGHT + (pass?.weight ?? 0),
      dispose: (story, _runId, reason) => {
        if (reason === 'evict') this.park(story);
      },
    });
  }

  /** Decides a chunk. `inFlight` is the chunk being written: its stories go on from where it leaves them. */
  async workOn(chunk: StatementsByRun, inFlight: Works | null): Promise<Works> {
    const stories = new Map<string, RunStory>();
    const marks = new Map<string, { mark: StoryMark; counted: CountedState | null }>();
    const needed: string[] = [];
    for (const [runId, statements] of chunk) {
      const story = inFlight?.get(runId)?.story ?? this.checkOut(runId);
      if (story) stories.set(runId, story);
      const parked = story ? undefined : this.parked(runId);
      if (parked) {
        marks.set(runId, parked);
        needed.push(...streamToTell(runId, parked.mark));
      }
      const incarnation = story?.incarnation ?? parked?.mark.incarnation ?? 0;
      needed.push(...streamsToBegin(runId, incarnation, statements));
    }
    const streams = await this.read(needed);
    const works: Works = new Map();
    for (const [runId, statements] of chunk) {
      const { mark, counted } = marks.get(runId) ?? { mark: NOT_BEGUN, counted: null };
      const story = stories.get(runId) ?? storyAt(runId, mark, counted, streams, this.identity);
      works.set(runId, workOn(story, statements, streams, this.identity));
    }
    return works;
  }

  /** Decides again what others have overtaken: from the log as it is now, for each run first `works`, then `next`. */
  async workAgain(runIds: readonly string[], works: Works, next: Works | null): Promise<void> {
    const needed = runIds.flatMap((runId) => {
      const { before, statements } = works.get(runId)!;
      const all = [...statements, ...(next?.get(runId)?.statements ?? [])];
      return [...streamToTell(runId, before), ...streamsToBegin(runId, before.incarnation, all)];
    });
    const streams = await this.read(needed);
    for (const runId of runIds) {
      const { before, statements, story: overtaken } = works.get(runId)!;
      const story = storyAt(runId, before, null, streams, this.identity);
      story.counted = overtaken.counted;
      works.set(runId, workOn(story, statements, streams, this.identity));
      const later = next?.get(runId);
      if (later) next?.set(runId, workOn(story, later.statements, streams, this.identity));
    }
  }

  checkIn(story: RunStory): void {
    if (story.incarnation === 0 && story.leftOut.length === 0) return;
    // The cache takes nothing that is heavier than itself, and says so to nobody.
    if (STORY_WEIGHT + (story.pass?.weight ?? 0) > this.cacheWeight) this.park(story);
    else this.cache.set(story.runId, story);
  }

  private checkOut(runId: string): RunStory | undefined {
    const story = this.cache.get(runId);
    if (story) this.cache.delete(runId);
    return story;
  }

  private park(story: RunStory): void {
    const { incarnation, version, stragglers, leftOut } = markOf(story);
    const counted = story.counted ? COUNTED_STATES.indexOf(story.counted.state) + 1 : 0;
    this.ledger.set(story.runId, [version, incarnation * COUNTED_SLOTS + counted]);
    keepIfAny(this.stragglers, story.runId, stragglers);
    keepIfAny(this.leftOut, story.runId, leftOut);
  }

  private parked(runId: string): { mark: StoryMark; counted: CountedState | null } | undefined {
    const entry = this.ledger.get(runId);
    if (!entry) return undefined;
    const [version, packed] = entry;
    const incarnation = Math.floor(packed / COUNTED_SLOTS);
    const stragglers = this.stragglers.get(runId) ?? [];
    const mark = { incarnation, version, stragglers, leftOut: this.leftOut.get(runId) ?? [] };
    return { mark, counted: COUNTED_STATES[(packed % COUNTED_SLOTS) - 1] ?? null };
  }

  private async read(streamIds: readonly string[]): Promise<Streams> {
    return streamIds.length === 0 ? new Map() : this.store.readStreams(streamIds);
  }
}

function keepIfAny(kept: Map<string, readonly string[]>, runId: string, all: readonly string[]): void {
  if (all.length > 0) kept.set(runId, all);
  else kept.delete(runId);
}
