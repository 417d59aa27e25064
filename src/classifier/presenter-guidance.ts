import type { Subject } from './subject';

/** What happens to a run by itself, and what a person can do about it. Instants only, no relative time. */
export function guidanceOf(subject: Subject): string {
  if (subject.incomplete)
    return 'An operator has to retry or discard the parked event, which is listed in the system plane, under projections.';
  return subject.status === 'completed' ? afterTheEnd(subject) : whileActive(subject);
}

function whileActive(subject: Subject): string {
  if (subject.problemClass === 'active_stale_attention') return `${next(subject)} ${remedy(subject)}`;
  return subject.status === 'queued'
    ? 'Nothing to do: it starts when a worker takes it.'
    : 'Nothing to do: its worker is on it.';
}

function next({ type, origin, stalledSince, reconcileDueAt }: Subject): string {
  if (origin !== null)
    return 'Its history was imported: no worker will report on it again, and it is not failed automatically.';
  if (reconcileDueAt === null)
    return `Policy leaves runs of type ${type} to people: nothing happens by itself.`;
  return stalledSince !== undefined
    ? `While it beats it is left to people; if it is not heard from again, it is failed automatically after ${reconcileDueAt}.`
    : `Unless it is heard from, it is failed automatically after ${reconcileDueAt}.`;
}

function remedy(subject: Subject): string {
  if (subject.resolution === 'investigated') return 'Somebody has marked it investigated.';
  return `${check(subject)}; an operator can cancel it or mark it failed.`;
}

function check({ status, stalledSince }: Subject): string {
  if (status === 'queued') return 'Check that workers for its type are running and free';
  return stalledSince === undefined
    ? 'Check that its worker is alive'
    : 'Check what its worker waits for or repeats';
}

function afterTheEnd(subject: Subject): string {
  const { problemClass, outcome, lateReport, resolution, successorRunId } = subject;
  if (problemClass === 'none') {
    if (lateReport?.outcome)
      return 'Nothing is required, but its worker went on after its end: check what it left behind.';
    const expected = outcome === 'succeeded' || outcome === 'cancelled';
    return expected ? 'Nothing to do.' : 'Nothing to do: policy asks for no follow-up on runs that end so.';
  }
  if (resolution === 'investigated')
    return 'Marked investigated: nothing more is asked. Reopen it if it was not settled.';
  if (successorRunId !== null)
    return `It was retried as run ${successorRunId}: see how that one ends, then mark this one investigated.`;
  if (lateReport?.outcome === 'succeeded')
    return 'Its work seems to be done after all: check the result, then mark it investigated rather than retry it.';
  return `${firstStep(subject)} ${retryOrNot(subject)}`;
}

function firstStep({ evidence, outcome }: Subject): string {
  if (evidence !== null) return 'Check how far its work got: it may have been done, or half done.';
  switch (outcome) {
    case 'failed':
      return 'Find and remove the cause of the failure.';
    case 'partially_succeeded':
      return 'See which part failed, and why.';
    case 'blocked':
      return 'Remove what blocks it.';
    case 'succeeded':
    case 'cancelled':
    case 'pending':
      return 'Policy asks somebody to look at runs that end so.';
  }
}

function retryOrNot({ retryable, type, evidence }: Subject): string {
  if (!retryable)
    return `Runs of type ${type} cannot be retried here: see to it at the source, then mark it investigated.`;
  const reason = evidence === null ? '' : ' and needs a reason';
  return `A retry starts a new, linked run${reason}; if none is needed, mark it investigated.`;
}
