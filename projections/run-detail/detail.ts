import { STALE } from '../../src/classifier/classified-run';
import type { ClassifiedRun } from '../../src/classifier/classified-run';
import { factsOf } from '../../src/classifier/facts-document';
import type { FactsDocument } from '../../src/classifier/facts-document';
import { storedRunOf } from '../../src/classifier/run-row';
import type { RunDocument } from '../../src/classifier/run-row';

/** A run as `run_facts` keeps it. */
export interface KeptRun {
  readonly run: RunDocument;
  readonly facts: FactsDocument;
  readonly position: string;
}

/**
 * The classified run that was kept: what the presenter and the decider ask for. Nothing is judged here; `policyVersion` is
 * the one by which the projector did.
 */
export function classifiedOf({ run, facts, position }: KeptRun, policyVersion: number): ClassifiedRun {
  const stored = storedRunOf(run);
  const { problemClass, freshness, staleAt } = stored;
  const before = { problemClass, freshness };
  return {
    position,
    incomplete: stored.incomplete,
    facts: factsOf(facts),
    timeline: {
      before,
      staleAt,
      after: staleAt === null ? before : STALE,
      staleKind: stored.staleKind,
      thresholdSeconds: stored.thresholdSeconds,
      reconcileDueAt: stored.reconcileDueAt,
      retryable: stored.retryable,
      policyVersion,
    },
  };
}
