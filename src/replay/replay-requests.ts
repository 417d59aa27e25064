import { classifiers } from '../classifier/classifier';
import { acceptedInstant } from '../events/instant';
import { parsePosition } from '../events/position';
import { listGenerations } from '../projector/generations';
import { listPolicies } from '../projector/policies';
import type { OperatorContext } from './operator-context';
import type { Candidate } from './replay-plan';
import { ReplayRefusedError, requireAbortable, requireRetirable } from './replays';
import type { StartRequest } from './replays';

/** Refuses (`unprocessable`) a policy or classifier version that does not exist, with those that do. */
export async function requireCandidate(
  { pool }: OperatorContext,
  { policyVersion, classifierVersion }: Candidate,
): Promise<void> {
  if (classifierVersion !== undefined && !classifiers.has(classifierVersion))
    throw new ReplayRefusedError(
      'unprocessable',
      `there is no classifier version ${classifierVersion}: this binary has ${[...classifiers.keys()].join(', ')}`,
    );
  if (policyVersion === undefined) return;
  const versions = (await listPolicies(pool)).map(({ version }) => version);
  if (!versions.includes(policyVersion))
    throw new ReplayRefusedError(
      'unprocessable',
      `there is no policy version ${policyVersion}: there are ${versions.join(', ')}`,
    );
}

/** The end of a historical generation as operators write it: an instant or a position; null when it is neither. */
export function parseUntil(text: string): NonNullable<StartRequest['until']> | null {
  const position = parsePosition(text);
  if (position) return { position };
  const at = acceptedInstant(text);
  return at === null ? null : { at };
}

/** Refuses what `abortReplay` or `retireGeneration` would refuse. Changes nothing. */
export async function previewEnding(
  { pool }: OperatorContext,
  id: number,
  action: 'abort' | 'retire',
): Promise<void> {
  const refuse = action === 'abort' ? requireAbortable : requireRetirable;
  refuse(await listGenerations(pool), id);
}
