import { grantsFromFlags, mintToken } from '../auth/mint-token';
import type { Plane } from '../auth/principal';
import { ConfigError, loadConfig } from '../config';
import { systemClock } from '../events/instant';
import { keptSecret } from './dev-secret';
import type { Output } from './output';

export interface TokenFlags {
  readonly plane: Plane;
  readonly workspace: readonly string[];
  readonly capability: readonly string[];
  readonly subject: string;
  readonly ttl: number;
}

/** A token for development, signed with AUTH_JWT_SECRET or with the secret that a demo keeps under OPSTRUTH_HOME. */
export async function token(output: Output, flags: TokenFlags): Promise<void> {
  const config = loadConfig(process.env, { requireAuth: false });
  if (config.auth?.kind === 'jwks')
    throw new ConfigError([
      'AUTH_JWKS_URL: tokens come from that issuer; this command signs with a shared secret only',
    ]);
  const secret = config.auth?.secret ?? (await keptSecret(config.home));
  if (secret === null)
    throw new ConfigError([
      `AUTH_JWT_SECRET: not set, and no demo has kept a secret under ${config.home}; set it, or start the demo once`,
    ]);
  const text = await mintToken({
    secret,
    subject: flags.subject,
    plane: flags.plane,
    ...grantsFromFlags(flags.plane, flags.workspace, flags.capability),
    ttlSeconds: flags.ttl,
    now: systemClock.now(),
    ...(config.auth?.issuer !== undefined && { issuer: config.auth.issuer }),
    ...(config.auth?.audience !== undefined && { audience: config.auth.audience }),
  });
  output.result({ token: text, plane: flags.plane, expiresInSeconds: flags.ttl }, () => [text]);
}
