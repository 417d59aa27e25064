import { setTimeout as sleep } from 'node:timers/promises';
import { uuidOf } from '../commands/command-ids';
import { isAccepted } from '../commands/command-result';
import type { CommandEnvelope, CommandResult, Failed } from '../commands/command-result';
import type { RunCommandExecutor } from '../commands/run-command-executor';
import { isUnreachable } from '../db/database';
import { EventStoreUnavailableError } from '../event-store/event-store';
import type { Clock, Instant } from '../events/instant';

/** Runs that the read side believes to be due, by run id after `afterRunId`, at most `limit`. */
export type DueRuns = (
  asOf: Instant,
  afterRunId: string | null,
  limit: number,
) => Promise<readonly { readonly runId: string }[]>;

export interface ReconcilerOptions {
  readonly executor: Pick<RunCommandExecutor, 'executeMany'>;
  readonly dueRuns: DueRuns;
  readonly clock: Clock;
  readonly logger: ReconcilerLogger;
  /** Between the end of a pass and the beginning of the next. (Default: 5000) */
  readonly intervalMs?: number;
  /** Runs asked for and reconciled at a time. (Default: 200) */
  readonly batchSize?: number;
}

export interface ReconcilerLogger {
  info(details: object, message: string): void;
  error(details: object, message: string): void;
}

/** What became of the runs of one pass. */
export interface ReconcilerTally {
  /** Failed by this pass. */
  readonly applied: number;
  /** Found already failed by another reconciler. */
  readonly repeated: number;
  /** Not due by their own facts: the read side had not yet seen the latest. */
  readonly notDue: number;
  /** Ended by somebody else meanwhile, or gone. */
  readonly refused: number;
  /** Runs whose reconciliation threw; they are tried again at the next pass. */
  readonly failed: number;
}

const ACTOR = 'reconciler';
const NOTHING: ReconcilerTally = { applied: 0, repeated: 0, notDue: 0, refused: 0, failed: 0 };

/** Passes until `signal` aborts. An error of a whole pass is logged and the next one begins anew. Never throws. */
export async function runReconciler(options: ReconcilerOptions, signal: AbortSignal): Promise<void> {
  const { logger, intervalMs = 5_000 } = options;
  while (!signal.aborted) {
    try {
      const tally = await reconcileDueRuns(options, signal);
      if (tally.applied > 0 || tally.failed > 0) logger.info({ ...tally }, 'reconciled runs');
    } catch (error) {
      logger.error({ err: error }, 'reconciling failed; it goes on with the next pass');
    }
    await sleep(intervalMs, undefined, { signal }).catch(() => undefined);
  }
}

/** One pass over everything due now. Throws what `dueRuns` throws; a run that fails is logged and counted. */
export async function reconcileDueRuns(
  { executor, dueRuns, clock, logger, batchSize = 200 }: ReconcilerOptions,
  signal: AbortSignal,
): Promise<ReconcilerTally> {
  const asOf = clock.now();
  let tally = NOTHING;
  let after: string | null = null;
  while (!signal.aborted) {
    const due = await dueRuns(asOf, after, batchSize);
    const results = await executeEach(
      executor,
      due.map(({ runId }) => reconcileCommand(runId, clock.now())),
      signal,
    );
    for (const result of results) {
      if (result.kind === 'failed')
        logger.error({ runId: result.runId, err: result.error }, 'a run could not be reconciled');
      tally = counted(tally, result);
    }
    const last = due.at(-1);
    if (!last || due.length < batchSize) break;
    after = last.runId;
  }
  return tally;
}

/**
 * The id is a function of the run alone, since a run is reconciled once in its life: reconcilers that race write the
 * same event, and one of them writes it.
 */
function reconcileCommand(runId: string, at: Instant): CommandEnvelope {
  const commandId = uuidOf('reconcile', runId);
  return {
    runId,
    command: { kind: 'reconcile', at, by: ACTOR },
    commandId,
    actor: ACTOR,
    plane: 'worker',
    correlationId: commandId,
    mayBeRepeat: true,
  };
}

/**
 * All together; if that throws, one by one, each telling its own error, so that a run the store refuses does not keep the others
 * stuck. Throws where the store does not answer: it would not for any of them.
 */
async function executeEach(
  executor: ReconcilerOptions['executor'],
  envelopes: readonly CommandEnvelope[],
  signal: AbortSignal,
): Promise<(CommandResult | Failed)[]> {
  try {
    return await executor.executeMany(envelopes);
  } catch (error) {
    if (error instanceof EventStoreUnavailableError || isUnreachable(error)) throw error;
    const results: (CommandResult | Failed)[] = [];
    for (const envelope of envelopes) {
      if (signal.aborted) break;
      results.push(await executeAlone(executor, envelope));
    }
    return results;
  }
}

async function executeAlone(
  executor: ReconcilerOptions['executor'],
  envelope: CommandEnvelope,
): Promise<CommandResult | Failed> {
  const { runId } = envelope;
  try {
    const [result] = await executor.executeMany([envelope]);
    return result ?? { kind: 'failed', runId, error: new Error(`run ${runId}: no result`) };
  } catch (error) {
    return { kind: 'failed', runId, error: error instanceof Error ? error : new Error(String(error)) };
  }
}

function counted(tally: ReconcilerTally, result: CommandResult | Failed): ReconcilerTally {
  const field = fieldOf(result);
  return { ...tally, [field]: tally[field] + 1 };
}

function fieldOf(result: CommandResult | Failed): keyof ReconcilerTally {
  if (result.kind === 'failed') return 'failed';
  if (isAccepted(result)) return result.repeat ? 'repeated' : 'applied';
  return result.kind === 'rejected' && result.rejection.code === 'not_due' ? 'notDue' : 'refused';
}
