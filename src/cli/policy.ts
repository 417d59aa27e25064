import { readFile } from 'node:fs/promises';
import { policyOfText, PolicyError, PolicyFileError } from '../classifier/policy';
import type { Policy } from '../classifier/policy';
import { policyChanges } from '../classifier/policy-changes';
import type { PolicyLeaf } from '../classifier/policy-changes';
import { listPolicies, loadPolicy } from '../projector/policies';
import { proposePolicy } from '../replay/propose-policy';
import { actorName } from './actor';
import { table } from './output';
import type { Output } from './output';
import { withRuntime } from './with-runtime';

/** Policies are no generation's: they can be looked at and kept also while a version with other read tables serves. */
const POLICIES = { migrate: true, anySurfaces: true };

/** The policy in force, or a version of it, with every default filled in. */
export async function showPolicy(output: Output, version: number | undefined): Promise<void> {
  await withRuntime(POLICIES, async ({ pool, generation }) => {
    const shown = await loadPolicy(pool, version ?? generation.policyVersion);
    output.result(shown, ({ policy }) => [
      `policy version ${shown.version}${shown.version === generation.policyVersion ? ', in force' : ''}`,
      ...JSON.stringify(policy, null, 2).split('\n'),
    ]);
  });
}

export async function showPolicies(output: Output): Promise<void> {
  await withRuntime(POLICIES, async ({ pool, generation }) => {
    const policies = (await listPolicies(pool)).map(({ policy: _policy, ...rest }) => ({
      ...rest,
      inForce: rest.version === generation.policyVersion,
    }));
    output.result(policies, (list) =>
      table(
        ['version', 'in force', 'created', 'by', 'reason'],
        list.map((one) => [
          String(one.version),
          one.inForce ? 'yes' : '',
          one.createdAt,
          one.createdBy,
          one.reason,
        ]),
      ),
    );
  });
}

/** Keeps a policy file as a new immutable version. It is in force once a generation built with it is live. */
export async function propose(output: Output, file: string, reason: string | null): Promise<void> {
  const policy = await policyFrom(file);
  await withRuntime(POLICIES, async ({ pool }) => {
    const proposed = await proposePolicy(pool, policy, { actor: actorName(), reason });
    output.result(proposed, ({ version, added, warnings }) => [
      `policy version ${version}${added ? '' : ', which was there already'}`,
      ...warnings.map((warning) => `warning: ${warning}`),
      `what it would change: opstruth replay plan --policy ${version}; to put it in force: opstruth replay start --policy ${version}`,
    ]);
  });
}

/** Not `ConfigError`: a file that was given is no setting. */
async function policyFrom(file: string): Promise<Policy> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new PolicyFileError(`${file}: cannot be read: ${(cause as Error).message}`);
  });
  try {
    return policyOfText(text);
  } catch (error) {
    const isFiles = error instanceof PolicyFileError || error instanceof PolicyError;
    throw isFiles ? new PolicyFileError(`${file}: ${error.message}`) : error;
  }
}

/** What differs between two versions, field by field. */
export async function diffPolicies(output: Output, from: number, to: number): Promise<void> {
  await withRuntime(POLICIES, async ({ pool }) => {
    const [before, after] = [await loadPolicy(pool, from), await loadPolicy(pool, to)];
    output.result(policyChanges(before.policy, after.policy), (list) =>
      list.length === 0
        ? [`versions ${from} and ${to} say the same`]
        : table(
            ['field', `version ${from}`, `version ${to}`],
            list.map((one) => [one.field, textOf(one.from), textOf(one.to)]),
          ),
    );
  });
}

function textOf(value: PolicyLeaf | undefined): string | null {
  return value === undefined ? null : JSON.stringify(value);
}
