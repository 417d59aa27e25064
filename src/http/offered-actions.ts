import type { Principal } from '../auth/principal';
import { RUN_ACTIONS } from '../auth/run-actions';
import type { ClassifiedRun } from '../classifier/classified-run';
import { probe } from '../domain/allowed-actions';
import type { Question } from '../domain/allowed-actions';
import { decide } from '../domain/decider';
import type { RunCommand } from '../domain/decider';

/** What the page offers on a run, and why not when it does not. */
export interface Action {
  readonly name: string;
  readonly allowed: boolean;
  readonly reason: string | null;
}

/**
 * The actions of the reader's plane on a run, asked of the decider itself: what the page offers and what the command
 * then does are the same rule. The answer is as old as the projection; the command is decided on the log.
 */
export function actionsOn(run: ClassifiedRun, principal: Principal, question: Question): Action[] {
  return RUN_ACTIONS[principal.plane]
    .filter((action) => action.by === 'person')
    .map(({ name, kind, capability }) => {
      const reason = principal.capabilities.has(capability)
        ? refusal(run, probe(kind, question))
        : `this needs the capability ${capability}`;
      return { name, allowed: reason === null, reason };
    });
}

function refusal({ facts, timeline, incomplete }: ClassifiedRun, command: RunCommand): string | null {
  // The log holds more than is known here, and most likely nothing that a command could be decided on.
  if (incomplete) return 'one of its events could not be applied, and waits for an operator';
  const decision = decide(facts, command, () => timeline);
  if (!decision.accepted) return decision.rejection.message;
  if (decision.events.length > 0) return null;
  return command.kind === 'cancel'
    ? 'it is cancelled already'
    : `its resolution is ${facts.resolution} already`;
}
