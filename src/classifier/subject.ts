import type { Verdict } from '../domain/classification';
import type { LateReport, Resolution } from '../domain/run-facts';
import type { Instant } from '../events/instant';
import type { Outcome, StaleEvidence, StaleKind, Status } from '../events/operation-run-events';

/** A run under the verdict of one instant, with what its words are made of. */
export interface Subject extends Verdict {
  readonly type: string;
  readonly status: Status;
  readonly outcome: Outcome;
  readonly queuedAt: Instant;
  readonly startedAt: Instant | null;
  readonly lastHeartbeatAt: Instant | null;
  readonly completedAt: Instant | null;
  readonly staleAt: Instant | null;
  readonly thresholdSeconds: number | null;
  /** Where the deadline is one of standing still and not of silence: since when. Absent otherwise. */
  readonly stalledSince?: Instant | undefined;
  readonly staleKind: StaleKind | null;
  readonly reconcileDueAt: Instant | null;
  readonly retryable: boolean;
  readonly origin: string | null;
  readonly reasonCode: string | null;
  readonly reason: string | null;
  /** The first few kinds of failure, how many kinds there are in all, and what the first one said. */
  readonly failures: readonly { readonly code: string; readonly count: number }[];
  readonly failureKinds: number;
  readonly failureMessage: string | null;
  readonly evidence: StaleEvidence | null;
  readonly lateReport: Pick<LateReport, 'kind' | 'occurredAt' | 'outcome'> | null;
  readonly resolution: Resolution;
  readonly successorRunId: string | null;
  readonly incomplete: boolean;
}
