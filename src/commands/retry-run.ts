import { canSee } from '../auth/principal';
import type { RunFacts } from '../domain/run-facts';
import { comparePositions } from '../events/position';
import { uuidOf } from './command-ids';
import { RunContendedError, isAccepted } from './command-result';
import type { Accepted, CommandResult, Rejected } from './command-result';
import type { RunCommandExecutor } from './run-command-executor';
import { refusedUnseen } from './plan-run';
import { RunDiscardedError } from './run-loader';
import { envelopeOf } from './sender';
import type { Sender } from './sender';

/** A retry that was accepted names the run that does the work again; its position covers both runs. */
export type RetryResult = (Accepted & { readonly successorRunId: string }) | Exclude<CommandResult, Accepted>;

type Executor = Pick<RunCommandExecutor, 'execute' | 'factsOf'>;

/** The predecessor moved while its successors were looked at. Each round means that another writer got on. */
const MAX_ROUNDS = 10;

/**
 * Queues a successor of a completed run. The predecessor's stream says first that it was retried, and as what; then
 * the successor is queued under that id. A crash between the two loses nothing: whoever retries the run next, or
 * repeats this very command, finds the successor named but missing and queues it first. Refused with `run_already_exists`
 * where another run has taken that id meanwhile. Throws what the executor throws.
 */
export async function retryRun(
  executor: Executor,
  runId: string,
  reason: string | null,
  sender: Sender,
): Promise<RetryResult> {
  const successorRunId = uuidOf('successor', sender.commandId);
  for (let round = 1; round <= MAX_ROUNDS; round++) {
    const found = await executor.factsOf(runId);
    const facts = found && isVisible(found, sender) ? found : null;
    const activeSuccessorRunId = facts && (await activeSuccessor(executor, facts, successorRunId, sender));
    const command = { kind: 'retry', at: sender.now, successorRunId, reason, activeSuccessorRunId } as const;
    // What was found out about successors holds for this version of the run and no other.
    const expectedVersion = sender.expectedVersion ?? facts?.version;
    const result = await executor.execute(envelopeOf(runId, command, { ...sender, expectedVersion }));
    if (result.kind === 'version_mismatch' && sender.expectedVersion === undefined) continue;
    if (!isAccepted(result)) return result;
    const predecessor = await executor.factsOf(runId);
    if (!predecessor) throw new Error(`run ${runId} was retried and then had no stream`);
    const queued = await queueSuccessor(executor, predecessor, successorRunId, sender);
    if (!isAccepted(queued)) return taken(runId, successorRunId);
    const covers = comparePositions(queued.position, result.position) > 0;
    return { ...result, position: covers ? queued.position : result.position, successorRunId };
  }
  throw new RunContendedError(runId, MAX_ROUNDS);
}

function isVisible({ workspaceId, tenantId }: RunFacts, { scope }: Sender): boolean {
  return !scope || canSee(scope, workspaceId, tenantId);
}

/** The newest successor's id while it is not over. One that was named and never queued is queued, and then is active. */
async function activeSuccessor(
  executor: Executor,
  facts: RunFacts,
  successorRunId: string,
  sender: Sender,
): Promise<string | null> {
  const newest = facts.successorRunIds.at(-1);
  // Our own: this is a repeat, and no rival.
  if (newest === undefined || newest === successorRunId) return null;
  try {
    const successor = await executor.factsOf(newest);
    if (!successor) await queueSuccessor(executor, facts, newest, sender);
    return successor && isOver(successor, facts) ? null : newest;
  } catch (error) {
    // There is no such run any more, nor will there be.
    if (error instanceof RunDiscardedError) return null;
    throw error;
  }
}

/** Another run may have taken the id while it was named and not queued yet: then there is no retry to wait for. */
function isOver(successor: RunFacts, { runId }: RunFacts): boolean {
  return successor.status === 'completed' || successor.predecessorRunId !== runId;
}

/** The answer is about the retry and tells nothing of the run that has the id. */
function taken(runId: string, successorRunId: string): Rejected {
  const message = `run ${runId} was to be retried as ${successorRunId}, and another run has that id; retry it once more`;
  const rejection = { code: 'run_already_exists', message } as const;
  return refusedUnseen(runId, rejection);
}

/** The ids follow from the successor's own, so that however many queue it, and whenever, it is queued once. */
function queueSuccessor(
  executor: Executor,
  predecessor: RunFacts,
  successorRunId: string,
  sender: Sender,
): Promise<CommandResult> {
  const { runId, workspaceId, tenantId, type, initiator, context } = predecessor;
  return executor.execute({
    runId: successorRunId,
    command: {
      kind: 'queue',
      at: sender.now,
      workspaceId,
      tenantId,
      type,
      initiator,
      // What came out of the log as JSON goes back into it.
      context: context as Record<string, never>,
      summaryCounts: null,
      predecessorRunId: runId,
      origin: null,
    },
    commandId: successorRunId,
    actor: sender.actor,
    plane: sender.plane,
    correlationId: sender.correlationId,
    causationId: sender.commandId,
    mayBeRepeat: true,
  });
}
