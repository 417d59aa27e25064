import { z } from 'zod';
import { PLANES, idSchema } from '../events/operation-run-events';
import { CAPABILITIES, EVERYTHING } from './principal';
import type { Principal, Scope } from './principal';

/** A grant as a token writes it: a whole workspace, or only the named tenants of it. */
export const workspaceClaimSchema = z.object({ id: idSchema, tenants: z.array(idSchema).optional() });
export type WorkspaceClaim = z.infer<typeof workspaceClaimSchema>;

export const workspacesClaimSchema = z.union([z.literal('*'), z.array(workspaceClaimSchema)]);
export type WorkspacesClaim = z.infer<typeof workspacesClaimSchema>;

/** The claims this service reads; issuers may add others. */
export const claimsSchema = z
  .looseObject({
    // Stands in the log as the actor, and in keys.
    sub: idSchema,
    plane: z.enum(PLANES),
    workspaces: workspacesClaimSchema.optional(),
    capabilities: z.array(z.string()).optional(),
    exp: z.number(),
  })
  // Such a token means to be limited, and the system plane knows no limit: honouring it would show too much.
  .refine(({ plane, workspaces }) => plane === 'admin' || workspaces === undefined || workspaces === '*', {
    path: ['workspaces'],
    error: 'the system plane cannot be limited to workspaces',
  });
export type Claims = z.infer<typeof claimsSchema>;

/** The reader behind verified claims. What a token does not say it does not grant: no `workspaces` sees nothing. */
export function principalOf(claims: Claims): Principal {
  const known: readonly string[] = CAPABILITIES[claims.plane];
  return {
    subject: claims.sub,
    plane: claims.plane,
    scope: claims.plane === 'system' ? EVERYTHING : scopeOf(claims.workspaces ?? []),
    capabilities: new Set((claims.capabilities ?? []).filter((capability) => known.includes(capability))),
  };
}

function scopeOf(workspaces: WorkspacesClaim): Scope {
  if (workspaces === '*') return EVERYTHING;
  return {
    kind: 'grants',
    grants: workspaces.map(({ id, tenants }) => ({ workspaceId: id, tenantIds: tenants ?? null })),
  };
}
