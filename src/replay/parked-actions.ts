import type { Generation } from '../projector/generations';
import { discardParked, retryParked } from '../projector/parked-streams';
import type { ParkedContext, RetryResult } from '../projector/parked-streams';
import { recordAudit } from './audit-entries';
import type { Operator } from './replays';

/** Retries a parked stream for an operator; an attempt on a stream that is parked leaves an audit entry. */
export async function retryAs(
  operator: Operator,
  generation: Generation,
  runId: string,
  context: ParkedContext,
): Promise<RetryResult> {
  const result = await retryParked(generation, runId, context);
  await remember(operator, 'parked.retry', generation, runId, result, context);
  return result;
}

/** Leaves the failed event of a parked stream out, for an operator with a reason. */
export async function discardAs(
  operator: Operator & { readonly reason: string },
  generation: Generation,
  runId: string,
  context: ParkedContext,
): Promise<RetryResult> {
  const result = await discardParked(generation, runId, operator, context);
  await remember(operator, 'parked.discard', generation, runId, result, context);
  return result;
}

async function remember(
  operator: Operator,
  action: string,
  { id }: Generation,
  runId: string,
  { kind }: RetryResult,
  { pool }: ParkedContext,
): Promise<void> {
  if (kind === 'not_parked') return;
  await recordAudit(pool, { ...operator, action, generation: id, details: { runId, result: kind } });
}
