import type { ClassifiedRun } from '../classifier/classified-run';
import type { Judge } from '../domain/classification';
import { evolve, stepOver } from '../domain/run-facts';
import type { DiscardedIn, RunFacts } from '../domain/run-facts';
import { isRunStream, runIdOf } from '../events/operation-run-events';
import type { StoredEvent } from '../events/operation-run-events';
import { parseEvent } from '../events/parse-event';
import { formatPosition } from '../events/position';
import type { SurfaceContent } from './surface-content';

/** A run as a batch found and left it; `before` is null for a run that the batch queued. */
export interface RunChange {
  readonly before: ClassifiedRun | null;
  readonly after: ClassifiedRun;
  /** What the surfaces showed of `before`; null when there was nothing to show. */
  readonly contentBefore: SurfaceContent | null;
  /** What they show of `after`. */
  readonly content: SurfaceContent;
}

/** An event set aside: the first of its stream with the cause, those behind it with none. */
export interface ParkedLetter {
  readonly event: StoredEvent;
  readonly cause: string | null;
}

export interface FoldedBatch {
  readonly changes: Map<string, RunChange>;
  readonly letters: ParkedLetter[];
  readonly newlyParked: Set<string>;
}

export interface FoldContext {
  /** The run's state before the batch; null when the log has not told of it yet. */
  readonly stateOf: (runId: string) => ClassifiedRun | null;
  readonly judge: Judge;
  readonly isParked: (streamId: string) => boolean;
  /** The fold steps over them. */
  readonly discardedIn: DiscardedIn;
  /** What the surfaces make of a run. One that throws parks that run's stream, not the whole batch. */
  readonly contentOf: (run: ClassifiedRun) => SurfaceContent;
}

/** A run on its way through a batch. */
interface Folded {
  readonly before: ClassifiedRun | null;
  after: RunFacts;
  readonly events: StoredEvent[];
}

/**
 * Folds a batch of events, in log order, into the runs they change. Pure but for what `stateOf` looks up. A stream
 * whose event cannot be read, folded or shown is parked from that event on; all other streams flow.
 */
export function foldBatch(events: readonly StoredEvent[], context: FoldContext): FoldedBatch {
  /** By stream. */
  const facts = new Map<string, Folded>();
  const letters: ParkedLetter[] = [];
  const newlyParked = new Set<string>();

  for (const event of events) {
    const { streamId } = event;
    if (context.isParked(streamId) || newlyParked.has(streamId)) {
      letters.push({ event, cause: null });
      continue;
    }
    const current = facts.get(streamId);
    const before = current ? current.before : stateBefore(streamId, context);
    const known = current ? current.after : (before?.facts ?? null);
    // Without its first event a run does not exist: a discarded queueing takes the whole stream with it.
    if (!known && context.discardedIn(streamId).has(0)) continue;
    // Delivered once more (a checkpoint read by a process that was fenced): it is folded already.
    if (event.revision < (known?.version ?? 0)) continue;
    try {
      const after = step(known, event, context);
      if (current) {
        current.after = after;
        current.events.push(event);
      } else facts.set(streamId, { before, after, events: [event] });
    } catch (error) {
      letters.push({ event, cause: causeOf(error) });
      newlyParked.add(streamId);
    }
  }

  const changes = new Map<string, RunChange>();
  for (const [streamId, { before, after, events: folded }] of facts) {
    const position = formatPosition(folded.at(-1)!.position);
    try {
      const run = classify(after, context.judge, position, newlyParked.has(streamId));
      changes.set(runIdOf(streamId), changeOf(before, run, context));
    } catch {
      // The facts fold but cannot be classified or shown: the stream is parked from the event on that made them so.
      const { shown, applied, cause } = asFarAsShown(before, folded, context);
      if (shown) changes.set(runIdOf(streamId), shown);
      const behind = letters.filter((letter) => letter.event.streamId === streamId);
      removeAll(letters, behind);
      folded
        .slice(applied)
        .forEach((event, index) => letters.push({ event, cause: index === 0 ? cause : null }));
      behind.forEach(({ event }) => letters.push({ event, cause: null }));
      newlyParked.add(streamId);
    }
  }
  markIncomplete(newlyParked, changes, context);
  return { changes, letters, newlyParked };
}

/**
 * How far a run can be shown of events of which the last leave it as no surface can: event by event, so that it does not
 * depend on where batches end.
 */
function asFarAsShown(
  before: ClassifiedRun | null,
  events: readonly StoredEvent[],
  context: FoldContext,
): { readonly shown: RunChange | null; readonly applied: number; readonly cause: string } {
  let shown: RunChange | null = null;
  let facts = before?.facts ?? null;
  for (const [applied, event] of events.entries()) {
    facts = step(facts, event, context);
    try {
      shown = changeOf(before, classify(facts, context.judge, formatPosition(event.position), true), context);
    } catch (error) {
      return { shown, applied, cause: causeOf(error) };
    }
  }
  throw new Error(`${events[0]!.streamId}: it could not be shown, and then it could`);
}

/** The facts after one more event. Throws when it does not follow from them. */
function step(facts: RunFacts | null, event: StoredEvent, { discardedIn }: FoldContext): RunFacts {
  return discardedIn(event.streamId).has(event.revision)
    ? stepOver(facts, event)
    : evolve(facts, parseEvent(event));
}

function changeOf(before: ClassifiedRun | null, after: ClassifiedRun, { contentOf }: FoldContext): RunChange {
  return { before, after, contentBefore: before && contentOf(before), content: contentOf(after) };
}

/** Classifies facts into the run that surfaces are made from. */
export function classify(
  facts: RunFacts,
  judge: Judge,
  position: string,
  incomplete: boolean,
): ClassifiedRun {
  return { facts, timeline: judge(facts), incomplete, position };
}

/** A run whose stream has just been parked says so on every surface, with the last facts that could be folded. */
function markIncomplete(
  newlyParked: Set<string>,
  changes: Map<string, RunChange>,
  context: FoldContext,
): void {
  for (const streamId of newlyParked) {
    const runId = runIdOf(streamId);
    const before = stateBefore(streamId, context);
    if (changes.has(runId) || !before) continue;
    const after = { ...before, incomplete: true };
    changes.set(runId, changeOf(before, after, context));
  }
}

/** Of a stream that is no run's there is none, whatever its name has in common with one. */
function stateBefore(streamId: string, { stateOf }: FoldContext): ClassifiedRun | null {
  return isRunStream(streamId) ? stateOf(runIdOf(streamId)) : null;
}

function removeAll(letters: ParkedLetter[], gone: readonly ParkedLetter[]): void {
  for (const letter of gone) letters.splice(letters.indexOf(letter), 1);
}

function causeOf(error: unknown): string {
  return (error instanceof Error ? `${error.name}: ${error.message}` : String(error)).slice(0, 1000);
}
