import { FoldError } from '../domain/run-facts';
import { EventTooLargeError, StreamGoneError } from '../event-store/event-store';
import { UnreadableEventError } from '../events/parse-event';
import { asProblem } from '../http/as-problem';
import { Problem } from '../http/problem';
import { RunContendedError } from './command-result';
import { RunDiscardedError } from './run-loader';

/** What a command is answered that ended in an error: of the run, of its rivals, or of ours. */
export function problemOf(error: unknown): Problem {
  if (error instanceof RunContendedError) return Problem.notReady(error.message, { cause: error });
  if (error instanceof RunDiscardedError)
    return new Problem('run_discarded', { detail: error.message, cause: error });
  if (error instanceof StreamGoneError)
    return new Problem('run_discarded', {
      detail: 'the stream of the run has been deleted from the event store',
      cause: error,
    });
  // A 503, because the sender should keep its command and try again: a worker's report must not be lost. What the event
  // holds is for operators, who find it among the parked ones.
  if (error instanceof UnreadableEventError || error instanceof FoldError)
    return new Problem('run_unreadable', {
      detail:
        'no command can be decided on this run: one of its events cannot be read, and waits for an operator to retry or discard it',
      cause: error,
    });
  // Those of a batch that are on one run are written together.
  if (error instanceof EventTooLargeError)
    return new Problem('payload_too_large', {
      detail:
        'what these commands say of the run is more than the log takes at once: send fewer of them together',
      cause: error,
    });
  return asProblem(error);
}
