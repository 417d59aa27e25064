import type { Instant } from '../events/instant';
import { micros } from '../events/instant';
import { claimsSchema, workspaceClaimSchema } from './claims';
import type { WorkspaceClaim, WorkspacesClaim } from './claims';
import { CAPABILITIES } from './principal';
import type { Capability, Plane } from './principal';

export interface TokenRequest {
  readonly secret: string;
  readonly subject: string;
  readonly plane: Plane;
  /** Absent on the system plane, which knows no limit. */
  readonly workspaces?: WorkspacesClaim;
  readonly capabilities: readonly Capability[];
  readonly ttlSeconds: number;
  readonly now: Instant;
  readonly issuer?: string;
  readonly audience?: string;
}

/** A signed token (HS256) for this service. Throws a ZodError on claims that the service itself would refuse. */
export async function mintToken(request: TokenRequest): Promise<string> {
  const { SignJWT } = await import('jose');
  const issuedAt = Math.floor(micros(request.now) / 1_000_000);
  const claims = claimsSchema.parse({
    sub: request.subject,
    plane: request.plane,
    ...(request.workspaces !== undefined && { workspaces: request.workspaces }),
    capabilities: [...request.capabilities],
    iat: issuedAt,
    exp: issuedAt + request.ttlSeconds,
    ...(request.issuer !== undefined && { iss: request.issuer }),
    ...(request.audience !== undefined && { aud: request.audience }),
  });
  return new SignJWT(claims)
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .sign(new TextEncoder().encode(request.secret));
}

/** A command line's grant that cannot be one. The message names the flag, the value and the remedy. */
export class TokenFlagError extends Error {
  override readonly name = 'TokenFlagError';
}

/**
 * Reads `W`, `W:T1,T2` or `*`. The first ':' ends the workspace and ',' ends a tenant; where an id has one of
 * them (or a '%'), it is written percent-encoded. Throws TokenFlagError.
 */
export function parseWorkspaceFlag(flag: string): '*' | WorkspaceClaim {
  if (flag === '*') return '*';
  const colon = flag.indexOf(':');
  const claim = workspaceClaimSchema.safeParse(
    colon === -1
      ? { id: decode(flag, flag) }
      : {
          id: decode(flag.slice(0, colon), flag),
          tenants: flag
            .slice(colon + 1)
            .split(',')
            .map((tenant) => decode(tenant, flag)),
        },
  );
  if (claim.success) return claim.data;
  throw new TokenFlagError(`--workspace ${flag}: an id is empty or too long; write W, W:T1,T2 or '*'`);
}

function decode(text: string, flag: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new TokenFlagError(`--workspace ${flag}: a '%' that is part of an id is written %25`);
  }
}

/**
 * The grants that `opstruth token` writes into a token: on the admin plane the given ones, and `*` when there is
 * none. The system plane takes none. Throws TokenFlagError.
 */
export function grantsFromFlags(
  plane: Plane,
  workspaces: readonly string[],
  capabilities: readonly string[],
): Pick<TokenRequest, 'workspaces' | 'capabilities'> {
  if (plane === 'system') {
    if (workspaces.length > 0)
      throw new TokenFlagError('--workspace: the system plane sees the whole platform; leave the flag out');
    return { capabilities: capabilitiesFromFlags(plane, capabilities) };
  }
  const grants = workspaces.map(parseWorkspaceFlag);
  const limited = grants.filter((grant) => grant !== '*');
  return {
    workspaces: limited.length < grants.length || grants.length === 0 ? '*' : limited,
    capabilities: capabilitiesFromFlags(plane, capabilities),
  };
}

function capabilitiesFromFlags(plane: Plane, given: readonly string[]): Capability[] {
  const known: readonly Capability[] = CAPABILITIES[plane];
  if (given.length === 0) return [...known];
  // For a reader, and to see what one is refused.
  if (given.every((name) => name === 'none')) return [];
  return given.map((name) => {
    const capability = known.find((candidate) => candidate === name);
    if (capability) return capability;
    throw new TokenFlagError(
      `--capability ${name}: the ${plane} plane has ${known.join(', ')}; none alone for none of them`,
    );
  });
}
