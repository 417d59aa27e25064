import { z } from 'zod';
import { OUTCOMES, STATUSES } from '../events/operation-run-events';
import { formatPosition } from '../events/position';
import type { Position } from '../events/position';
import { Problem } from '../http/problem';
import type { Accepted, CommandResult } from './command-result';
import type { RetryResult } from './retry-run';

/** What an accepted command answers. `position` is a token for `?minPosition=` of any read. */
export const commandAnswerSchema = z
  .object({
    runId: z.string(),
    version: z.int(),
    position: z.string(),
    result: z.enum(['applied', 'unchanged', 'recorded_late']),
    status: z.enum(STATUSES),
    outcome: z.enum(OUTCOMES),
    events: z.array(z.string()),
    successorRunId: z.string().optional(),
  })
  .meta({ id: 'CommandAnswer' });
export type CommandAnswer = z.infer<typeof commandAnswerSchema>;

/** The answer of an accepted command, or the problem that a refused one is. */
export function answerOf(result: CommandResult | RetryResult): CommandAnswer | Problem {
  switch (result.kind) {
    case 'applied':
    case 'unchanged':
    case 'recorded_late':
      return acceptedAnswer(result);
    case 'version_mismatch':
      return Problem.preconditionFailed(result.currentVersion, positionOf(result));
    case 'rejected': {
      const { rejection, facts, currentVersion, allowedActions } = result;
      // Of a run that is not there, or not for the sender, nothing is told but just that.
      if (!facts) return new Problem(rejection.code, { detail: rejection.message });
      const { status: currentStatus, outcome: currentOutcome } = facts;
      const at = { currentVersion, currentStatus, currentOutcome, ...positionOf(result) };
      const members = { ...at, allowedActions };
      return new Problem(rejection.code, { detail: rejection.message, members });
    }
  }
}

/** Who is refused reads why from there on. */
function positionOf({ position }: { readonly position: Position | null }): { readonly position?: string } {
  return position === null ? {} : { position: formatPosition(position) };
}

function acceptedAnswer(result: Accepted & { readonly successorRunId?: string }): CommandAnswer {
  const { kind, runId, version, position, status, outcome, eventTypes, successorRunId } = result;
  return {
    runId,
    version,
    position: formatPosition(position),
    result: kind,
    status,
    outcome,
    events: [...eventTypes],
    ...(successorRunId !== undefined && { successorRunId }),
  };
}
