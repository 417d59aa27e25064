import type { Capability, Principal } from '../auth/principal';
import type { ClassifiedRun } from '../classifier/classified-run';
import { decide } from '../domain/decider';
import type { RunCommand } from '../domain/decider';
import type { Instant } from '../events/instant';

/** What the page offers on a run, and why not when it does not. */
export interface Action {
  readonly name: string;
  readonly allowed: boolean;
  readonly reason: string | null;
}

interface Question {
  readonly at: Instant;
  /** A retry of the run that is still queued or running. */
  readonly activeSuccessorRunId: string | null;
}

interface Offer {
  readonly name: string;
  readonly capability: Capability;
  /** The command behind the button, with a reason: whether one is needed is asked when the button is pressed. */
  readonly command: (question: Question) => RunCommand;
}

const cancel = ({ at }: Question): RunCommand => ({ kind: 'cancel', at, reason: null });
const resolve = ({ at }: Question): RunCommand => ({ kind: 'resolve', at, note: null });
const reopen = ({ at }: Question): RunCommand => ({ kind: 'reopen', at, note: null });
const retry = ({ at, activeSuccessorRunId }: Question): RunCommand => ({
  kind: 'retry',
  at,
  successorRunId: 'new',
  reason: 'given',
  activeSuccessorRunId,
});
const markFailed = ({ at }: Question): RunCommand => ({
  kind: 'mark-failed',
  at,
  by: 'asked',
  reason: 'given',
});

const OFFERS: Readonly<Record<Principal['plane'], readonly Offer[]>> = {
  admin: [
    { name: 'cancel', capability: 'runs.write', command: cancel },
    { name: 'resolve', capability: 'runs.triage', command: resolve },
    { name: 'reopen', capability: 'runs.triage', command: reopen },
  ],
  system: [
    { name: 'retry', capability: 'ops.triage', command: retry },
    { name: 'cancel', capability: 'ops.triage', command: cancel },
    { name: 'mark-failed', capability: 'ops.triage', command: markFailed },
    { name: 'mark-investigated', capability: 'ops.triage', command: resolve },
    { name: 'reopen', capability: 'ops.triage', command: reopen },
  ],
};

/**
 * The actions of the reader's plane on a run, asked of the decider itself: what the page offers and what the command
 * then does are the same rule. The answer is as old as the projection; the command is decided on the log.
 */
export function actionsOn(run: ClassifiedRun, principal: Principal, question: Question): Action[] {
  return OFFERS[principal.plane].map(({ name, capability, command }) => {
    const reason = principal.capabilities.has(capability)
      ? refusal(run, command(question))
      : `this needs the capability ${capability}`;
    return { name, allowed: reason === null, reason };
  });
}

function refusal({ facts, timeline, incomplete }: ClassifiedRun, command: RunCommand): string | null {
  // The log holds more than is known here, and most likely nothing that a command could be decided on.
  if (incomplete) return 'one of its events could not be applied, and waits for an operator';
  const decision = decide(facts, command, () => timeline);
  if (!decision.accepted) return decision.rejection.message;
  return decision.events.length === 0 ? `its resolution is ${facts.resolution} already` : null;
}
