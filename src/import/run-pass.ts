import { eventIdOf, uuidOf } from '../commands/command-ids';
import type { Judge } from '../domain/classification';
import { decide } from '../domain/decider';
import type { Decision } from '../domain/decider';
import { evolve, FoldError, stepOver } from '../domain/run-facts';
import type { DiscardedIn, RunFacts } from '../domain/run-facts';
import { micros } from '../events/instant';
import { recordedAt, streamOf } from '../events/operation-run-events';
import type { NewEvent, RecordedRunEvent, RunEvent, StoredEvent } from '../events/operation-run-events';
import { parseEvent, UnreadableEventError } from '../events/parse-event';
import { START } from '../events/position';
import type { Statement } from './statement';

/** Who imports, and by which verdicts. */
export interface ImportIdentity {
  readonly dataset: string;
  readonly actor: string;
  readonly correlationId: string;
  readonly judge: Judge;
  readonly discardedIn: DiscardedIn;
  /** Whether a row tells a run from its queueing to its end: where it may not queue one it tells nothing. */
  readonly rowsAreRuns: boolean;
}

export type Taken =
  | { readonly kind: 'appended'; readonly event: NewEvent }
  | { readonly kind: 'stored'; readonly eventId: string }
  | { readonly kind: 'unchanged' }
  | { readonly kind: 'refused'; readonly code: string; readonly message: string };

/**
 * One run as an import passes over its rows. Two states are kept apart: that of the pass, which begins at nothing and
 * moves as the rows come by, and that of the log, which may already hold what later rows say and what others did
 * meanwhile. A row is judged from the first, so that it comes to the same at every repetition; what it adds is
 * decided on the second, like any late report.
 */
export class RunPass {
  /** Why the run's stream cannot be read; nothing is decided on it then. */
  readonly unreadable: string | null = null;
  readonly streamId: string;
  /** The state of the pass. */
  facts: RunFacts | null = null;
  /** The state of the log, with what this pass has appended. */
  full: RunFacts | null = null;
  /** Stored events that the state of the pass does not hold yet, in order. */
  private ahead: Ahead[] = [];
  /** Stored events whose rows have not come by: revision by event id. */
  private readonly awaited = new Map<string, number>();
  /** Digests of the events whose rows have come by, to tell the second of two equal rows from the first. */
  private readonly past: number[] = [];
  /** No event in `past` is later. */
  private pastMicros = Number.NEGATIVE_INFINITY;

  /** `version` events have come by before, but for those named in `stragglers`. */
  constructor(
    readonly runId: string,
    private readonly identity: ImportIdentity,
    stored: readonly StoredEvent[],
    version = 0,
    stragglers: readonly string[] = [],
  ) {
    this.streamId = streamOf(runId);
    try {
      const discarded = identity.discardedIn(this.streamId);
      for (const each of stored) {
        const ahead = aheadOf(each, discarded.has(each.revision));
        this.full = ahead.fold(this.full);
        const passed = each.revision < version;
        if (passed) this.facts = this.full;
        else this.ahead.push(ahead);
        const { event } = ahead;
        // The row of an event that was left out is one that is stored, or it would be appended once more.
        if (event && event.metadata.correlationId !== identity.correlationId) continue;
        if (passed && event && !stragglers.includes(event.eventId))
          this.remember(event.eventId, micros(event.data.occurredAt));
        else this.awaited.set(each.eventId, each.revision);
      }
    } catch (error) {
      if (!(error instanceof UnreadableEventError || error instanceof FoldError)) throw error;
      this.unreadable = error.message;
    }
  }

  /** Events folded into the state of the pass. */
  get version(): number {
    return this.facts?.version ?? 0;
  }

  /** How many events are held in memory, roughly. */
  get weight(): number {
    return this.ahead.length + this.awaited.size;
  }

  /** Events inside the pass state whose rows are still to come: only where rows are not in order of time. */
  stragglers(): string[] {
    return [...this.awaited].flatMap(([eventId, revision]) => (revision < this.version ? [eventId] : []));
  }

  take(statement: Statement): Taken {
    if (this.unreadable !== null)
      return { kind: 'refused', code: 'stream_unreadable', message: this.unreadable };
    const { commandId, eventId } = this.idsOf(statement);
    const revision = this.awaited.get(eventId);
    if (revision !== undefined) {
      this.awaited.delete(eventId);
      this.advanceTo(revision);
      this.remember(eventId, statement.atMicros);
      return { kind: 'stored', eventId };
    }
    const decision = this.decide(statement);
    if (!decision.accepted) return { kind: 'refused', ...decision.rejection };
    const [event] = decision.events;
    if (!event) return { kind: 'unchanged' };
    const { actor, correlationId } = this.identity;
    const metadata = { actor, plane: 'worker', commandId, correlationId, causationId: commandId } as const;
    this.append(event, { eventId, metadata });
    this.remember(eventId, statement.atMicros);
    return { kind: 'appended', event: { eventId, type: event.type, data: event.data, metadata } };
  }

  /** Ids say what the row says, not where it stands: a file may be renamed, split or exported anew. */
  private idsOf({ command, atMicros, detail }: Statement) {
    const { dataset } = this.identity;
    for (let nth = 0; ; nth++) {
      const parts = [dataset, this.runId, command.kind, String(atMicros), detail, String(nth)];
      const commandId = uuidOf('import', ...parts);
      const eventId = eventIdOf(commandId, 0);
      if (atMicros > this.pastMicros || !this.past.includes(digestOf(eventId))) return { commandId, eventId };
    }
  }

  /**
   * From the state of the pass on, event by event to that of the log, and nothing at the first of them that does not
   * want an event: what a row came to once, it comes to again whatever has been appended since.
   */
  private decide({ command }: Statement): Decision {
    const { judge } = this.identity;
    let facts = this.facts;
    let decision = decide(facts, command, judge);
    for (const ahead of this.ahead) {
      if (!decision.accepted || decision.events.length === 0) break;
      facts = ahead.fold(facts);
      decision = decide(facts, command, judge);
    }
    return decision;
  }

  private append(
    event: RunEvent,
    { eventId, metadata }: Pick<RecordedRunEvent, 'eventId' | 'metadata'>,
  ): void {
    const revision = this.full?.version ?? 0;
    const { streamId } = this;
    const recording = { eventId, streamId, revision, position: START, metadata };
    this.full = evolve(this.full, recordedAt(event, recording));
    this.facts = this.full;
    if (this.ahead.length > 0) this.ahead = [];
  }

  private advanceTo(revision: number): void {
    if (revision < this.version) return;
    const passed = this.ahead.findIndex((one) => one.revision > revision);
    const events = this.ahead.splice(0, passed === -1 ? this.ahead.length : passed);
    for (const ahead of events) this.facts = ahead.fold(this.facts);
  }

  private remember(eventId: string, atMicros: number): void {
    this.past.push(digestOf(eventId));
    this.pastMicros = Math.max(this.pastMicros, atMicros);
  }
}

/** A stored event on its way into the state of the pass; null where operators have left it out. */
interface Ahead {
  readonly revision: number;
  readonly event: RecordedRunEvent | null;
  fold(facts: RunFacts | null): RunFacts;
}

function aheadOf(stored: StoredEvent, isDiscarded: boolean): Ahead {
  const { revision } = stored;
  if (isDiscarded) return { revision, event: null, fold: (facts) => stepOver(facts, stored) };
  const event = parseEvent(stored);
  return { revision, event, fold: (facts) => evolve(facts, event) };
}

/** 48 bits of an event id: eight bytes in an array of numbers. Two that collide only count as equal rows. */
function digestOf(eventId: string): number {
  return Number.parseInt(eventId.slice(24), 16);
}
