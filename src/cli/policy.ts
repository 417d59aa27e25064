import { readFile } from 'node:fs/promises';
import { parsePolicy } from '../classifier/policy';
import type { Policy } from '../classifier/policy';
import { listPolicies, loadPolicy } from '../projector/policies';
import { proposePolicy } from '../replay/propose-policy';
import { parseJson } from '../runtime';
import { actorName } from './actor';
import { table } from './output';
import type { Output } from './output';
import { withRuntime } from './with-runtime';

/** The policy in force, or a version of it, with every default filled in. */
export async function showPolicy(output: Output, version: number | undefined): Promise<void> {
  await withRuntime({ migrate: true }, async ({ pool, generation }) => {
    const shown = await loadPolicy(pool, version ?? generation.policyVersion);
    output.result(shown, ({ policy }) => [
      `policy version ${shown.version}${shown.version === generation.policyVersion ? ', in force' : ''}`,
      JSON.stringify(policy, null, 2),
    ]);
  });
}

export async function showPolicies(output: Output): Promise<void> {
  await withRuntime({ migrate: true }, async ({ pool, generation }) => {
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
  const policy = parsePolicy(parseJson(await readFile(file, 'utf8'), file));
  await withRuntime({ migrate: true }, async ({ pool }) => {
    const proposed = await proposePolicy(pool, policy, { actor: actorName(), reason });
    output.result(proposed, ({ version, added, warnings }) => [
      `policy version ${version}${added ? '' : ', which was there already'}`,
      ...warnings.map((warning) => `warning: ${warning}`),
      `what it would change: opstruth replay plan --policy ${version}; to put it in force: opstruth replay start --policy ${version}`,
    ]);
  });
}

/** What differs between two versions, field by field. */
export async function diffPolicies(output: Output, from: number, to: number): Promise<void> {
  await withRuntime({ migrate: true }, async ({ pool }) => {
    const [before, after] = [await loadPolicy(pool, from), await loadPolicy(pool, to)];
    const changes = differences(flatten(before.policy), flatten(after.policy));
    output.result(changes, (list) =>
      list.length === 0
        ? [`versions ${from} and ${to} say the same`]
        : table(
            ['field', `version ${from}`, `version ${to}`],
            list.map((one) => [one.field, one.from, one.to]),
          ),
    );
  });
}

interface PolicyChange {
  readonly field: string;
  readonly from: string | null;
  readonly to: string | null;
}

function differences(before: Map<string, string>, after: Map<string, string>): PolicyChange[] {
  return [...new Set([...before.keys(), ...after.keys()])]
    .map((field) => ({ field, from: before.get(field) ?? null, to: after.get(field) ?? null }))
    .filter(({ from, to }) => from !== to);
}

/** `types.backup.runningStaleAfterSeconds` -> `7200`. */
function flatten(policy: Policy): Map<string, string> {
  const flat = new Map<string, string>();
  const visit = (value: unknown, path: string) => {
    if (typeof value === 'object' && value !== null)
      for (const [key, inner] of Object.entries(value)) visit(inner, path === '' ? key : `${path}.${key}`);
    else flat.set(path, JSON.stringify(value));
  };
  visit(policy, '');
  return flat;
}
