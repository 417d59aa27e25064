import type { RunFacts } from '../domain/run-facts';
import { micros } from '../events/instant';
import { streamOf } from '../events/operation-run-events';
import type { NewEvent, StoredEvent } from '../events/operation-run-events';
import type { Append, ExpectedRevision } from '../event-store/event-store';
import { RunPass } from './run-pass';
import type { ImportIdentity, Taken } from './run-pass';
import type { Statement } from './statement';

/** The states under which the report counts runs. Their order is their number in the ledger. */
export const COUNTED_STATES = [
  'queued',
  'running',
  'succeeded',
  'partially_succeeded',
  'failed',
  'blocked',
  'cancelled',
] as const;
export type CountedState = (typeof COUNTED_STATES)[number];

/** What became of a statement. */
export type Outcome =
  | Exclude<Taken, { kind: 'appended' } | { kind: 'stored' }>
  | { readonly kind: 'appended' | 'stored'; readonly eventId: string }
  /** Queued again while still active. */
  | { readonly kind: 'queued_again' }
  /** About a run that no row before it has queued. */
  | { readonly kind: 'unknown_run' }
  /** Of a row that was refused with the queueing it begins with. */
  | { readonly kind: 'left_out' };

/** A run as the source knows it: one id, and one after the other the runs that bore it. */
export interface RunStory {
  readonly runId: string;
  incarnation: number;
  /** Of the newest incarnation; null before the first. */
  pass: RunPass | null;
  /** Rows that were refused and have more to say. */
  leftOut: readonly string[];
  /** The incarnation that the report has counted last, and under which state. */
  counted: { readonly incarnation: number; readonly state: CountedState } | null;
}

/** What a chunk's statements about one run come to, before anything is written. */
export interface RunWork {
  readonly story: RunStory;
  /** Where the story was before, so that it can be told again. */
  readonly before: StoryMark;
  readonly statements: readonly Statement[];
  readonly outcomes: readonly Outcome[];
  readonly appends: readonly Append[];
  /** The state in which each incarnation is left. */
  readonly states: ReadonlyMap<number, CountedState>;
}

export type Streams = ReadonlyMap<string, StoredEvent[]>;

/** How far a story has come in this pass: with the log, enough to tell it again. */
export interface StoryMark {
  readonly incarnation: number;
  /** Events of the newest incarnation's stream that its pass state holds. */
  readonly version: number;
  /** Ids among those events whose rows have not come by: empty where rows are in order of time. */
  readonly stragglers: readonly string[];
  /** Rows that were refused and have more to say. */
  readonly leftOut: readonly string[];
}

/** The id of a run that was queued again after its end. */
export function incarnationId(runId: string, incarnation: number): string {
  return incarnation <= 1 ? runId : `${runId}#${incarnation}`;
}

/** The streams of the incarnations that `statements` may begin. */
export function streamsToBegin(
  runId: string,
  incarnation: number,
  statements: readonly Statement[],
): string[] {
  const queued = statements.filter(({ command }) => command.kind === 'queue');
  return queued.map((_, nth) => streamOf(incarnationId(runId, incarnation + 1 + nth)));
}

/** The stream that a story at this mark is told from. */
export function streamToTell(runId: string, { incarnation }: StoryMark): string[] {
  return incarnation === 0 ? [] : [streamOf(incarnationId(runId, incarnation))];
}

export function storyAt(
  runId: string,
  { incarnation, version, stragglers, leftOut }: StoryMark,
  counted: CountedState | null,
  streams: Streams,
  identity: ImportIdentity,
): RunStory {
  if (incarnation === 0) return { runId, incarnation, pass: null, leftOut, counted: null };
  const id = incarnationId(runId, incarnation);
  const pass = new RunPass(id, identity, streams.get(streamOf(id)) ?? [], version, stragglers);
  return { runId, incarnation, pass, leftOut, counted: counted && { incarnation, state: counted } };
}

export function markOf({ incarnation, pass, leftOut }: RunStory): StoryMark {
  return { incarnation, version: pass?.version ?? 0, stragglers: pass?.stragglers() ?? [], leftOut };
}

/** Takes the statements in order; moves `story` on. Nothing is written. */
export function workOn(
  story: RunStory,
  statements: readonly Statement[],
  streams: Streams,
  identity: ImportIdentity,
): RunWork {
  const before = markOf(story);
  const appends = new Map<
    string,
    { streamId: string; expectedRevision: ExpectedRevision; events: NewEvent[] }
  >();
  const states = new Map<number, CountedState>();
  const take = (statement: Statement): Outcome => {
    const pass = passFor(story, statement, streams, identity);
    if (typeof pass === 'string') return { kind: pass };
    const revision = (pass.full?.version ?? 0) - 1;
    const taken = pass.take(statement);
    if (taken.kind === 'refused') return taken;
    if (pass !== story.pass) {
      story.pass = pass;
      story.incarnation++;
    }
    if (pass.full) states.set(story.incarnation, stateOf(pass.full));
    if (taken.kind !== 'appended') return taken;
    const append = appends.get(pass.streamId);
    if (append) append.events.push(taken.event);
    else {
      const expectedRevision = revision < 0 ? 'no_stream' : revision;
      appends.set(pass.streamId, { streamId: pass.streamId, expectedRevision, events: [taken.event] });
    }
    return { kind: 'appended', eventId: taken.event.eventId };
  };
  const outcomes = statements.map((statement) =>
    identity.rowsAreRuns ? takeOfRow(story, statement, take) : take(statement),
  );
  return { story, before, statements, outcomes, appends: [...appends.values()], states };
}

/**
 * A row that is one run has no part in another run: what it says behind a queueing that was refused would be said of
 * whichever run bears its id. A run that two rows tell of, as two exports do, is queued at one time in both.
 */
function takeOfRow(story: RunStory, statement: Statement, take: (statement: Statement) => Outcome): Outcome {
  const { command, row, atMicros } = statement;
  const place = `${row.line} ${row.file}`;
  if (story.leftOut.includes(place)) {
    // Its last word.
    if (command.kind === 'complete') story.leftOut = story.leftOut.filter((other) => other !== place);
    return { kind: 'left_out' };
  }
  const outcome = take(statement);
  if (command.kind !== 'queue') return outcome;
  const queuedAt = story.pass?.facts?.queuedAt;
  const isToldAgain = outcome.kind === 'queued_again' && queuedAt && micros(queuedAt) === atMicros;
  if (isToldAgain || (outcome.kind !== 'queued_again' && outcome.kind !== 'refused')) return outcome;
  story.leftOut = [...story.leftOut, place];
  if (outcome.kind === 'refused') return outcome;
  const message = `${story.runId} was queued before, at ${queuedAt}, and had not ended by then`;
  return { kind: 'refused', code: 'run_still_active', message };
}

/** The run that a statement is about, a new one when it is queued after its end. */
function passFor(
  { runId, incarnation, pass }: RunStory,
  { command }: Statement,
  streams: Streams,
  identity: ImportIdentity,
): RunPass | 'unknown_run' | 'queued_again' {
  if (command.kind !== 'queue') return pass ?? 'unknown_run';
  if (pass && pass.facts?.status !== 'completed') return 'queued_again';
  const id = incarnationId(runId, incarnation + 1);
  return new RunPass(id, identity, streams.get(streamOf(id)) ?? []);
}

export function stateOf({ status, outcome }: Pick<RunFacts, 'status' | 'outcome'>): CountedState {
  // A completed run's outcome is never pending.
  return status === 'completed' ? (outcome as CountedState) : status;
}
