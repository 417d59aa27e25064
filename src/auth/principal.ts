/** Which doors a token opens: `admin` the tenant, workspace and admin paths, `system` the platform's. Never both. */
export type Plane = 'admin' | 'system';

/** What a token may do beyond reading inside its plane and scope. */
export const CAPABILITIES = {
  admin: ['runs.write', 'runs.triage'],
  system: ['ops.triage', 'projections.operate'],
} as const;
export type Capability = (typeof CAPABILITIES)[Plane][number];

/** What a reader may see. Applied before anything is counted, so that the rest does not exist for them. */
export type Scope =
  | { readonly kind: 'everything' }
  | { readonly kind: 'grants'; readonly grants: readonly Grant[] };

export interface Grant {
  readonly workspaceId: string;
  /** Null: the whole workspace, its tenantless runs among it. Else only these tenants, and no tenantless run. */
  readonly tenantIds: readonly string[] | null;
}

export interface Principal {
  readonly subject: string;
  readonly plane: Plane;
  readonly scope: Scope;
  readonly capabilities: ReadonlySet<string>;
}

export const EVERYTHING: Scope = { kind: 'everything' };

export function canSee(scope: Scope, workspaceId: string, tenantId: string | null): boolean {
  return (
    scope.kind === 'everything' ||
    scope.grants.some(
      (grant) =>
        grant.workspaceId === workspaceId &&
        (grant.tenantIds === null || (tenantId !== null && grant.tenantIds.includes(tenantId))),
    )
  );
}

/** Whether `scope` shows everything that `other` does. */
export function seesAllOf(scope: Scope, other: Scope): boolean {
  if (scope.kind === 'everything') return true;
  return (
    other.kind === 'grants' &&
    other.grants.every(({ workspaceId, tenantIds }) =>
      tenantIds === null
        ? scope.grants.some((grant) => grant.workspaceId === workspaceId && grant.tenantIds === null)
        : tenantIds.every((tenantId) => canSee(scope, workspaceId, tenantId)),
    )
  );
}
