import type { Scope } from '../auth/principal';
import type { Rejection, RunCommand } from '../domain/decider';
import type { RunFacts } from '../domain/run-facts';
import type { EventMetadata, Outcome, RunEventType, Status } from '../events/operation-run-events';
import type { Position } from '../events/position';

/** A command on its way to one run: who sends it, under which id, and on what conditions. */
export interface CommandEnvelope {
  readonly runId: string;
  readonly command: RunCommand;
  /** Event ids are made of it: two commands must never share one, a repeated command must keep its own. */
  readonly commandId: string;
  readonly actor: string;
  readonly plane: EventMetadata['plane'];
  readonly correlationId: string;
  /** What made somebody send it; absent: the command itself is the first cause. */
  readonly causationId?: string | undefined;
  /** The version the sender has seen. Any other one refuses the command. */
  readonly expectedVersion?: number | undefined;
  /**
   * This very id may have been executed before or may be executing now. The stream itself is then asked, not the
   * cache, and a command that it holds answers what it answered first.
   */
  readonly mayBeRepeat?: boolean | undefined;
  /** What the sender may see. Absent: everything. A run outside of it is a run that does not exist. */
  readonly scope?: Scope | undefined;
}

export interface Accepted {
  /** `unchanged`: the run already was as asked. `recorded_late`: kept as evidence on a run that others have ended. */
  readonly kind: 'applied' | 'unchanged' | 'recorded_late';
  readonly runId: string;
  readonly version: number;
  /** Of the run's last event at the time: a reader who has reached it sees this command's effect. */
  readonly position: Position;
  readonly status: Status;
  readonly outcome: Outcome;
  readonly eventTypes: readonly RunEventType[];
  /** The answer of an earlier execution under the same command id; nothing was written this time. */
  readonly repeat: boolean;
}

export interface Rejected {
  readonly kind: 'rejected';
  readonly runId: string;
  readonly rejection: Rejection;
  /** 0 when there is no such run, or none that the sender may see. */
  readonly currentVersion: number;
  /** Of the run's last event, which the refusal rests on; null where `currentVersion` is 0. */
  readonly position: Position | null;
  readonly facts: RunFacts | null;
  /** As the sender's own routes name them. */
  readonly allowedActions: readonly string[];
}

export interface VersionMismatch {
  readonly kind: 'version_mismatch';
  readonly runId: string;
  readonly currentVersion: number;
  readonly position: Position | null;
}

export type CommandResult = Accepted | Rejected | VersionMismatch;

/** One run of many could not be worked on: it cannot be read, others kept overtaking us, or the log does not take it. */
export interface Failed {
  readonly kind: 'failed';
  readonly runId: string;
  readonly error: Error;
}

export function isAccepted(result: CommandResult | Failed): result is Accepted {
  return result.kind === 'applied' || result.kind === 'unchanged' || result.kind === 'recorded_late';
}

/** Other writers of the run won every round. Nothing of the command was written; it can be sent again. */
export class RunContendedError extends Error {
  override readonly name = 'RunContendedError';
  constructor(
    readonly runId: string,
    rounds: number,
  ) {
    super(`run ${runId}: overtaken by other writers in ${rounds} rounds; send the command again`);
  }
}
