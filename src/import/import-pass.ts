import { RunContendedError } from '../commands/command-result';
import type { Append, EventStore } from '../event-store/event-store';
import type { ImportIdentity } from './run-pass';
import { RunStories } from './run-stories';
import type { Works } from './run-stories';
import type { RunWork } from './run-story';
import type { Statement } from './statement';

export interface ImportPassOptions {
  readonly store: EventStore;
  readonly identity: ImportIdentity;
  /** Told of all statements of a chunk about one run, when what they come to is written. */
  readonly onSettled: (work: RunWork) => void;
  readonly cacheWeight?: number | undefined;
}

/**
 * Carries statements to the log, chunk after chunk. The log keeps their order per run; between runs it keeps the order
 * of chunks, since a chunk is written as one append a run.
 */
export interface ImportPass {
  /** Decides a chunk while the one before is being written. Resolves when the writing of this one has begun. */
  submit(statements: readonly Statement[]): Promise<void>;
  /** Resolves when everything submitted is written. */
  drain(): Promise<void>;
}

/** Each lost round means that others appended to the run between a read and a write. */
const MAX_ROUNDS = 10;

interface InFlight {
  readonly works: Works;
  readonly written: Promise<Written>;
}

interface Written {
  /** Runs of which something is not written: others were there before. */
  readonly overtaken: readonly string[];
  /** Of these runs, the events that are written none the less. */
  readonly eventIds: readonly string[];
}

/**
 * Throws what the store throws, and RunContendedError for a run that others keep overtaking. What is written by then
 * is found again by the next pass.
 */
export function createImportPass({ store, identity, onSettled, cacheWeight }: ImportPassOptions): ImportPass {
  const stories = new RunStories(store, identity, cacheWeight);
  let inFlight: InFlight | null = null;

  const settle = async (next: Works | null): Promise<void> => {
    if (!inFlight) return;
    const { works, written } = inFlight;
    let { overtaken, eventIds } = await written;
    const ours = new Set(eventIds);
    for (let round = 1; overtaken.length > 0; round++) {
      if (round > MAX_ROUNDS) throw new RunContendedError(overtaken[0]!, MAX_ROUNDS);
      await stories.workAgain(overtaken, works, next);
      const again = overtaken.map((runId) => works.get(runId)!);
      ({ overtaken, eventIds } = await write(store, again));
      for (const eventId of eventIds) ours.add(eventId);
    }
    for (const [runId, work] of works) {
      onSettled(ours.size === 0 ? work : countingOurs(work, ours));
      if (!next?.has(runId)) stories.checkIn(work.story);
    }
    inFlight = null;
  };

  return {
    submit: async (statements) => {
      const works = await stories.workOn(byRun(statements), inFlight?.works ?? null);
      await settle(works);
      const written = write(store, [...works.values()]);
      // It is awaited when the next chunk has been decided; until then a failure is no unhandled rejection.
      written.catch(() => undefined);
      inFlight = { works, written };
    },
    drain: () => settle(null),
  };
}

function byRun(statements: readonly Statement[]): Map<string, Statement[]> {
  const runs = new Map<string, Statement[]>();
  for (const statement of statements) {
    const known = runs.get(statement.runId);
    if (known) known.push(statement);
    else runs.set(statement.runId, [statement]);
  }
  return runs;
}

async function write(store: EventStore, works: readonly RunWork[]): Promise<Written> {
  const appends: Append[] = [];
  const writers: RunWork[] = [];
  const overtaken = new Set<string>();
  const taken = new Set<string>();
  for (const work of works) {
    // A source may name a run `a#2` beside the second run of `a`: whoever comes second finds what the first wrote.
    const shared = work.appends.some(({ streamId }) => taken.has(streamId));
    if (shared) overtaken.add(work.story.runId);
    else
      for (const append of work.appends) {
        taken.add(append.streamId);
        appends.push(append);
        writers.push(work);
      }
  }
  const results = appends.length === 0 ? [] : await store.appendMany(appends);
  results.forEach((result, index) => {
    if (result.kind === 'refused') throw result.error;
    if (result.kind === 'conflict') overtaken.add(writers[index]!.story.runId);
  });
  if (overtaken.size === 0) return { overtaken: [], eventIds: [] };
  const inPlace = appends.filter((_, index) => results[index]!.kind === 'appended');
  return {
    overtaken: [...overtaken],
    eventIds: inPlace.flatMap(({ events }) => events.map((event) => event.eventId)),
  };
}

/** Events that were written before their run was overtaken were found again as stored, but this pass wrote them. */
function countingOurs(work: RunWork, ours: ReadonlySet<string>): RunWork {
  const outcomes = work.outcomes.map((outcome) =>
    outcome.kind === 'stored' && ours.has(outcome.eventId)
      ? { ...outcome, kind: 'appended' as const }
      : outcome,
  );
  return { ...work, outcomes };
}
