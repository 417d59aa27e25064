import type { ClassifiedRun } from '../../classifier/classified-run';
import type { Judge } from '../../domain/classification';
import type { DiscardedIn } from '../../domain/run-facts';
import { isRunStream, runIdOf } from '../../events/operation-run-events';
import type { StoredEvent } from '../../events/operation-run-events';
import { foldBatch } from '../../projector/fold-batch';
import type { ParkedLetter, RunChange } from '../../projector/fold-batch';
import type { SurfaceContent } from '../../projector/surface-content';

/** Streams that will not go on, folded. */
export interface FoldedStreams {
  /** What they came to, each once. */
  readonly runs: readonly Pick<RunChange, 'after' | 'content'>[];
  readonly letters: readonly ParkedLetter[];
  /** Those of the page itself, be their stream at its end or not. */
  readonly newLetters: readonly ParkedLetter[];
  /** The last of them, by id; null where no stream of the page is at its end yet. */
  readonly upTo: string | null;
  readonly events: number;
}

interface WholeStreamsContext {
  readonly judge: Judge;
  readonly discardedIn: DiscardedIn;
  readonly contentOf: (run: ClassifiedRun) => SurfaceContent;
  /** Asked of the events of a stream in their order: whether this one, and all behind it, are left out. */
  readonly isBeyondEnd: (event: StoredEvent) => boolean;
}

/** A stream of which the next page may hold more, as far as it is folded. */
interface OpenStream {
  readonly streamId: string;
  readonly run: RunChange | null;
  readonly letters: readonly ParkedLetter[];
  readonly events: number;
  readonly isParked: boolean;
  readonly isEnded: boolean;
}

/**
 * Folds a log that comes stream after stream. Of a page's streams all but the last are whole; that one waits for the next page
 * as what it came to so far, however long it is. Pure but for that.
 */
export class WholeStreams {
  private open: OpenStream | null = null;

  constructor(private readonly context: WholeStreamsContext) {}

  /** `isLast`: no event comes after these. */
  fold(page: readonly StoredEvent[], isLast: boolean): FoldedStreams {
    const { open } = this;
    const { events, isEnded } = this.withoutEnded(page);
    const {
      changes: runs,
      letters,
      newlyParked,
    } = foldBatch(events, {
      ...this.context,
      stateOf: (runId) => (open?.run?.after.facts.runId === runId ? open.run.after : null),
      isParked: (streamId) => open !== null && open.isParked && open.streamId === streamId,
    });
    // What was open is what this page made of it, or what it was.
    if (open?.run && !runs.has(open.run.after.facts.runId)) runs.set(open.run.after.facts.runId, open.run);
    const allLetters = [...(open?.letters ?? []), ...letters];

    const mayGoOn = isLast ? null : (page.at(-1)?.streamId ?? null);
    const goesOn = open !== null && open.streamId === mayGoOn;
    const runId = mayGoOn !== null && isRunStream(mayGoOn) ? runIdOf(mayGoOn) : null;
    const own = events.reduce((count, { streamId }) => count + (streamId === mayGoOn ? 1 : 0), 0);
    const earlier = open?.events ?? 0;
    this.open =
      mayGoOn === null
        ? null
        : {
            streamId: mayGoOn,
            run: (runId !== null && runs.get(runId)) || null,
            letters: allLetters.filter(({ event }) => event.streamId === mayGoOn),
            events: own + (goesOn ? earlier : 0),
            isParked: newlyParked.has(mayGoOn) || (goesOn && open.isParked),
            isEnded,
          };
    if (runId !== null) runs.delete(runId);
    return {
      runs: [...runs.values()],
      letters: allLetters.filter(({ event }) => event.streamId !== mayGoOn),
      newLetters: letters,
      upTo: lastBut(mayGoOn, page) ?? (goesOn ? null : (open?.streamId ?? null)),
      events: events.length - own + (goesOn ? 0 : earlier),
    };
  }

  /** A stream passes by once: of those that have ended only the one at hand need be known. */
  private withoutEnded(page: readonly StoredEvent[]): { events: readonly StoredEvent[]; isEnded: boolean } {
    let ended = this.open?.isEnded ? this.open.streamId : null;
    const events = page.filter((event) => {
      if (event.streamId === ended) return false;
      if (!this.context.isBeyondEnd(event)) return true;
      ended = event.streamId;
      return false;
    });
    return { events, isEnded: ended !== null && ended === page.at(-1)?.streamId };
  }
}

function lastBut(streamId: string | null, page: readonly StoredEvent[]): string | null {
  return page.findLast((event) => event.streamId !== streamId)?.streamId ?? null;
}
