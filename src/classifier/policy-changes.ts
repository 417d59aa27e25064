import { ruleFor } from './policy';
import type { Policy } from './policy';

export interface PolicyChange {
  readonly field: string;
  /** Absent where the version does not have the field. */
  readonly from?: PolicyLeaf;
  readonly to?: PolicyLeaf;
}

export type PolicyLeaf = string | number | boolean | null;

/** What differs between two policies, field by field, as it is in effect: what a type leaves to the defaults is theirs. */
export function policyChanges(before: Policy, after: Policy): PolicyChange[] {
  const types = [...new Set([before, after].flatMap((policy) => Object.keys(policy.types)))].sort();
  return differences(flatten(before, types), flatten(after, types));
}

function differences(before: Map<string, PolicyLeaf>, after: Map<string, PolicyLeaf>): PolicyChange[] {
  return [...new Set([...before.keys(), ...after.keys()])]
    .filter((field) => before.get(field) !== after.get(field))
    .map((field) => ({
      field,
      ...(before.has(field) && { from: before.get(field)! }),
      ...(after.has(field) && { to: after.get(field)! }),
    }));
}

/** `types.backup.runningStaleAfterSeconds` -> 7200, for each of `types` with what it takes from the defaults. */
function flatten(policy: Policy, types: readonly string[]): Map<string, PolicyLeaf> {
  const flat = new Map<string, PolicyLeaf>();
  const visit = (value: object | PolicyLeaf, path: string) => {
    if (typeof value === 'object' && value !== null)
      for (const [key, inner] of Object.entries(value as Record<string, object | PolicyLeaf>))
        visit(inner, path === '' ? key : `${path}.${key}`);
    else flat.set(path, value);
  };
  const rules = types.map((type) => [type, ruleFor(policy, type)] as const);
  visit({ ...policy, types: Object.fromEntries(rules) }, '');
  return flat;
}
