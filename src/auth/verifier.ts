import type { JWTPayload, JWTVerifyOptions } from 'jose' with { 'resolution-mode': 'import' };
import type { AuthConfig } from '../config';
import type { Clock } from '../events/instant';
import { micros } from '../events/instant';
import { LRUCache } from 'lru-cache';
import { claimsSchema, principalOf } from './claims';
import type { Principal } from './principal';

/** `keys_unavailable`: the issuer's keys could not be read, so that nothing is known about the token. */
export type Verification =
  | { readonly ok: true; readonly principal: Principal }
  | {
      readonly ok: false;
      readonly reason: 'invalid' | 'expired' | 'keys_unavailable';
      readonly detail: string;
    };

export interface Verifier {
  verify(token: string): Promise<Verification>;
}

/** Two machines' clocks differ by this much at most. */
const CLOCK_TOLERANCE_SECONDS = 5;

/**
 * A token that has been verified is not verified again for so long: a UI sends the same one with each poll, and checking
 * signatures was an eighth of all work at 200 commands a second. A key that its issuer withdraws goes on for as long.
 */
const TRUSTED_SECONDS = 60;
const TRUSTED_TOKENS = 10_000;

interface Trusted {
  readonly verification: Verification;
  readonly untilMicros: number;
}

/** A shared secret is never accepted as a public key, nor the other way round: each kind has its own algorithms. */
const JWKS_ALGORITHMS = ['RS256', 'ES256', 'EdDSA'];

/** Verifies bearer tokens: signature, expiry (required), issuer and audience when configured, then the claims. */
export function createVerifier(config: AuthConfig, clock: Clock): Verifier {
  let check: Promise<(token: string, options: JWTVerifyOptions) => Promise<JWTPayload>> | undefined;
  const trusted = new LRUCache<string, Trusted>({ max: TRUSTED_TOKENS });
  return {
    async verify(token) {
      const nowMicros = micros(clock.now());
      const known = trusted.get(token);
      if (known && nowMicros < known.untilMicros) return known.verification;
      const options: JWTVerifyOptions = {
        currentDate: new Date(nowMicros / 1000),
        clockTolerance: CLOCK_TOLERANCE_SECONDS,
        requiredClaims: ['exp'],
        ...(config.issuer !== undefined && { issuer: config.issuer }),
        ...(config.audience !== undefined && { audience: config.audience }),
      };
      try {
        check ??= signatureCheck(config);
        const payload = await (await check)(token, options);
        const claims = claimsSchema.safeParse(payload);
        if (claims.success) {
          const verification: Verification = { ok: true, principal: principalOf(claims.data) };
          // `exp` was required.
          const untilMicros = Math.min(payload.exp!, nowMicros / 1e6 + TRUSTED_SECONDS) * 1e6;
          trusted.set(token, { verification, untilMicros });
          return verification;
        }
        const issue = claims.error.issues[0];
        return { ok: false, reason: 'invalid', detail: `claim ${issue?.path.join('.')}: ${issue?.message}` };
      } catch (error) {
        return refusal(error);
      }
    },
  };
}

/** jose is an ES module: `import()` loads it under CommonJS, also on a Node that cannot `require` one. */
async function signatureCheck(config: AuthConfig) {
  const { createRemoteJWKSet, jwtVerify } = await import('jose');
  if (config.kind === 'secret') {
    const secret = new TextEncoder().encode(config.secret);
    return async (token: string, options: JWTVerifyOptions) =>
      (await jwtVerify(token, secret, { ...options, algorithms: ['HS256'] })).payload;
  }
  const keys = createRemoteJWKSet(new URL(config.jwksUrl));
  return async (token: string, options: JWTVerifyOptions) =>
    (await jwtVerify(token, keys, { ...options, algorithms: JWKS_ALGORITHMS })).payload;
}

/** What the caller did wrong, in words of ours: jose's own may quote the token. */
function refusal(error: unknown): Verification {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  switch (code) {
    case 'ERR_JWT_EXPIRED':
      return { ok: false, reason: 'expired', detail: 'the token has expired' };
    case 'ERR_JWT_CLAIM_VALIDATION_FAILED':
      return {
        ok: false,
        reason: 'invalid',
        detail: `the token's claims are refused: ${claimAtFault(error)}`,
      };
    case 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED':
    case 'ERR_JWKS_NO_MATCHING_KEY':
    case 'ERR_JWKS_MULTIPLE_MATCHING_KEYS':
      return { ok: false, reason: 'invalid', detail: 'the signature is not by a key this service trusts' };
    case 'ERR_JOSE_ALG_NOT_ALLOWED':
      return { ok: false, reason: 'invalid', detail: 'the signature algorithm is not accepted' };
    case 'ERR_JWS_INVALID':
    case 'ERR_JWT_INVALID':
    case 'ERR_JOSE_NOT_SUPPORTED':
      return { ok: false, reason: 'invalid', detail: 'not a signed JSON Web Token' };
    default:
      return {
        ok: false,
        reason: 'keys_unavailable',
        detail: `the issuer's keys cannot be read: ${String(error)}`,
      };
  }
}

function claimAtFault(error: unknown): string {
  return error instanceof Error && 'claim' in error ? String(error.claim) : 'unspecified';
}
