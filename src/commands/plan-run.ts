import { canSee } from '../auth/principal';
import { RUN_ACTIONS } from '../auth/run-actions';
import type { RunAction } from '../auth/run-actions';
import { allowedActions } from '../domain/allowed-actions';
import type { Judge } from '../domain/classification';
import { decide } from '../domain/decider';
import type { Rejection, RunCommand } from '../domain/decider';
import { evolve } from '../domain/run-facts';
import type { RunFacts } from '../domain/run-facts';
import { recordedAt, streamOf } from '../events/operation-run-events';
import type { NewEvent, RecordedRunEvent, RunEvent } from '../events/operation-run-events';
import { START } from '../events/position';
import type { Position } from '../events/position';
import { eventIdOf } from './command-ids';
import type { Accepted, CommandEnvelope, CommandResult, Rejected } from './command-result';

/** What several commands to one run come to, before anything is written. */
export interface RunPlan {
  readonly events: readonly NewEvent[];
  /** The run once `events` are written. */
  readonly facts: RunFacts | null;
  /** One per command, in order, given the position of the run's last event. */
  readonly answers: readonly Answer[];
}

type Answer = (position: Position) => CommandResult;

/**
 * Decides commands on one run one after the other, each on the facts that those before it leave. Pure. `history` is
 * the run's whole stream, wanted when any of the commands may be a repeat.
 */
export function planRun(
  known: RunFacts | null,
  history: readonly RecordedRunEvent[],
  envelopes: readonly CommandEnvelope[],
  judge: Judge,
): RunPlan {
  let facts = known;
  const events: NewEvent[] = [];
  const answers: Answer[] = [];
  const given = new Map<string, Answer>();
  for (const envelope of envelopes) {
    const step = planStep(facts, history, envelope, given, judge);
    facts = step.facts;
    events.push(...step.events);
    answers.push(step.answer);
    if (step.events.length > 0) given.set(envelope.commandId, step.answer);
  }
  return { events, facts, answers };
}

interface Step {
  readonly facts: RunFacts | null;
  readonly events: readonly NewEvent[];
  readonly answer: Answer;
}

function planStep(
  facts: RunFacts | null,
  history: readonly RecordedRunEvent[],
  envelope: CommandEnvelope,
  given: ReadonlyMap<string, Answer>,
  judge: Judge,
): Step {
  const { runId, command, scope, expectedVersion } = envelope;
  const refuse = (answer: Answer): Step => ({ facts, events: [], answer });
  if (facts && scope && !canSee(scope, facts.workspaceId, facts.tenantId))
    return refuse(() => hidden(envelope, judge));
  if (envelope.mayBeRepeat) {
    const first = given.get(envelope.commandId) ?? firstAnswer(envelope.commandId, history);
    if (first) return refuse((position) => ({ ...(first(position) as Accepted), repeat: true }));
  }
  const currentVersion = facts?.version ?? 0;
  // A worker that was given up on has not seen the version at which it was: its report is evidence all the same.
  const isLateReport = !!facts?.evidence && isReport(command);
  const mismatch = expectedVersion !== undefined && expectedVersion !== currentVersion;
  if (mismatch && !isLateReport && (facts || command.kind === 'queue'))
    return refuse((position) => ({
      kind: 'version_mismatch',
      runId,
      currentVersion,
      position: facts && position,
    }));
  const decision = decide(facts, command, judge);
  if (!decision.accepted)
    return refuse((position) => rejected(facts && { facts, position }, envelope, decision.rejection, judge));
  const { after, events } = foldOwn(facts, envelope, decision.events);
  return { facts: after, events, answer: (position) => accepted(after, decision.events, position) };
}

function isReport({ kind }: RunCommand): boolean {
  return kind === 'start' || kind === 'progress' || kind === 'complete';
}

/** The events as they will stand in the stream, and the run with them. */
function foldOwn(facts: RunFacts | null, envelope: CommandEnvelope, decided: readonly RunEvent[]) {
  const { runId, commandId, actor, plane, correlationId, causationId } = envelope;
  const metadata = { actor, plane, commandId, correlationId, causationId: causationId ?? commandId };
  const streamId = streamOf(runId);
  let after = facts;
  const events: NewEvent[] = [];
  for (const event of decided) {
    const eventId = eventIdOf(commandId, events.length);
    const revision = after?.version ?? 0;
    // The fold looks at revisions only; the position is known once the event is written.
    after = evolve(after, recordedAt(event, { eventId, streamId, revision, position: START, metadata }));
    events.push({ eventId, type: event.type, data: event.data, metadata });
  }
  if (!after) throw new Error(`run ${runId}: a command was accepted that neither found nor made the run`);
  return { after, events };
}

/** What a command was answered whose events are in the stream: the run as they left it. */
function firstAnswer(commandId: string, history: readonly RecordedRunEvent[]): Answer | null {
  const firstId = eventIdOf(commandId, 0);
  if (!history.some(({ eventId }) => eventId === firstId)) return null;
  const own = history.filter(({ metadata }) => metadata.commandId === commandId);
  const last = own.at(-1)!;
  let facts: RunFacts | null = null;
  for (const event of history.filter(({ revision }) => revision <= last.revision))
    // A hole in the history is an event that was left out of it.
    facts = evolve(facts && { ...facts, version: event.revision }, event);
  const then = facts!;
  return () => accepted(then, own, last.position);
}

function accepted(facts: RunFacts, events: readonly RunEvent[], position: Position): Accepted {
  const eventTypes = events.map(({ type }) => type);
  const { runId, version, status, outcome } = facts;
  return { kind: kindOf(eventTypes), runId, version, position, status, outcome, eventTypes, repeat: false };
}

function kindOf(eventTypes: readonly RunEvent['type'][]): Accepted['kind'] {
  if (eventTypes.length === 0) return 'unchanged';
  return eventTypes.includes('OperationRunLateReportRecorded') ? 'recorded_late' : 'applied';
}

/** As the sender's own routes call them; what has no route there is not offered. */
function offered(kinds: readonly RunAction['kind'][], plane: CommandEnvelope['plane']): readonly string[] {
  if (plane === 'worker') return kinds;
  const actions: readonly RunAction[] = RUN_ACTIONS[plane];
  return kinds.flatMap((kind) => actions.find((action) => action.kind === kind)?.name ?? []);
}

function rejected(
  known: { readonly facts: RunFacts; readonly position: Position } | null,
  { runId, command, plane }: CommandEnvelope,
  rejection: Rejection,
  judge: Judge,
): CommandResult {
  const facts = known?.facts ?? null;
  const activeSuccessor = command.kind === 'retry' ? command.activeSuccessorRunId : undefined;
  return {
    kind: 'rejected',
    runId,
    rejection,
    currentVersion: facts?.version ?? 0,
    position: known?.position ?? null,
    facts,
    allowedActions: offered(allowedActions(facts, command.at, judge, activeSuccessor), plane),
  };
}

/** A run the sender may not see: refused as a missing one is. Only that its id is taken cannot be hidden. */
export function hidden(envelope: CommandEnvelope, judge: Judge): CommandResult {
  const { runId, command } = envelope;
  if (command.kind !== 'queue') {
    const decision = decide(null, command, judge);
    if (!decision.accepted) return rejected(null, envelope, decision.rejection, judge);
  }
  const rejection: Rejection = { code: 'run_already_exists', message: 'this run id is taken' };
  return refusedUnseen(runId, rejection);
}

/** A refusal that tells nothing of any run. */
export function refusedUnseen(runId: string, rejection: Rejection): Rejected {
  return {
    kind: 'rejected',
    runId,
    rejection,
    currentVersion: 0,
    position: null,
    facts: null,
    allowedActions: [],
  };
}
