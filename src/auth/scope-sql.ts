import { sql } from 'kysely';
import type { RawBuilder, SqlBool } from 'kysely';
import { oneOf } from '../db/one-of';
import type { Scope } from './principal';

export interface ScopeColumns {
  readonly workspace: string;
  readonly tenant: string;
}

const COLUMNS: ScopeColumns = { workspace: 'workspace_id', tenant: 'tenant_id' };

/**
 * The condition on a row's workspace and tenant under which `scope` sees it: the SQL of `canSee`. It belongs into
 * the innermost `where`, before anything is counted. No grants: `false`, never an absent condition.
 */
export function inScope(scope: Scope, columns: ScopeColumns = COLUMNS): RawBuilder<SqlBool> {
  if (scope.kind === 'everything') return sql<SqlBool>`true`;
  const { whole, limited } = byWorkspace(scope);
  const workspace = sql.ref(columns.workspace);
  const tenant = sql.ref(columns.tenant);
  const conditions = [
    ...(whole.length > 0 ? [oneOf(workspace, whole)] : []),
    ...[...limited].map(
      ([workspaceId, tenantIds]) =>
        sql<SqlBool>`(${workspace} = ${workspaceId} and ${oneOf(tenant, [...tenantIds])})`,
    ),
  ];
  return conditions.length === 0 ? sql<SqlBool>`false` : sql<SqlBool>`(${sql.join(conditions, sql` or `)})`;
}

/**
 * What is left of `scope` on a workspace's or tenant's own path, or null when the path is out of scope (404). A
 * grant limited to tenants opens its workspace's path and sees these tenants only.
 */
export function narrow(scope: Scope, workspaceId: string, tenantId?: string): Scope | null {
  const wanted = tenantId === undefined ? null : [tenantId];
  if (scope.kind === 'everything') return grant(workspaceId, wanted);
  const { whole, limited } = byWorkspace(scope);
  if (whole.includes(workspaceId)) return grant(workspaceId, wanted);
  const tenantIds = limited.get(workspaceId);
  if (tenantIds === undefined) return null;
  if (tenantId === undefined) return grant(workspaceId, [...tenantIds]);
  return tenantIds.has(tenantId) ? grant(workspaceId, wanted) : null;
}

function grant(workspaceId: string, tenantIds: readonly string[] | null): Scope {
  return { kind: 'grants', grants: [{ workspaceId, tenantIds }] };
}

/** Grants may repeat a workspace: they add up, and a grant of the whole one leaves nothing to the others. */
function byWorkspace({ grants }: Extract<Scope, { kind: 'grants' }>) {
  const whole = [...new Set(grants.filter((one) => one.tenantIds === null).map((one) => one.workspaceId))];
  const limited = new Map<string, Set<string>>();
  for (const { workspaceId, tenantIds } of grants) {
    if (tenantIds === null || tenantIds.length === 0 || whole.includes(workspaceId)) continue;
    limited.set(workspaceId, new Set([...(limited.get(workspaceId) ?? []), ...tenantIds]));
  }
  return { whole, limited };
}
