import { resolve } from 'node:path';
import { z } from 'zod';

export const ROLES = ['api', 'projector', 'reconciler'] as const;
export type Role = (typeof ROLES)[number];

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;

/** Every wrong setting at once, one line each. Values are never repeated: a secret may stand in the wrong variable. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  constructor(readonly problems: readonly string[]) {
    super(['wrong settings:', ...problems.map((problem) => `  ${problem}`)].join('\n'));
  }
}

const MIN_SECRET_CHARACTERS = 32;
const EVENT_STORE_SCHEMES = ['esdb://', 'esdb+discover://', 'kurrentdb://', 'kurrentdb+discover://'];

const wholeNumber = (from: number, to: number, otherwise: number) =>
  z
    .string()
    .refine((given) => /^\d{1,15}$/.test(given) && Number(given) >= from && Number(given) <= to, {
      error: `must be a whole number from ${from} to ${to}`,
    })
    .transform(Number)
    .default(otherwise);

const beginsWith = (schemes: readonly string[], isUrl: (given: string) => boolean) =>
  z
    .string()
    .refine((given) => schemes.some((scheme) => given.startsWith(scheme)) && isUrl(given), {
      error: `must be a URL that begins with ${schemes.join(' or ')}`,
    })
    .optional();

const urlWith = (schemes: readonly string[]) => beginsWith(schemes, (given) => URL.canParse(given));

const roleList = z
  .string()
  .transform((given) => given.split(',').map((role) => role.trim()))
  .pipe(z.array(z.enum(ROLES, { error: `must be a comma-separated list out of ${ROLES.join(', ')}` })).min(1))
  .transform((roles): ReadonlySet<Role> => new Set(roles))
  .default(new Set(ROLES));

const environmentSchema = z.object({
  DATABASE_URL: urlWith(['postgres://', 'postgresql://']),
  DATABASE_POOL_SIZE: wholeNumber(1, 1_000, 10),
  OPSTRUTH_HOME: z.string().default('.opstruth'),
  OPSTRUTH_POLICY_FILE: z.string().optional(),
  // 0 lets the operating system choose, as tests do.
  PORT: wholeNumber(0, 65_535, 3_000),
  HOST: z.string().default('127.0.0.1'),
  ROLES: roleList,
  AUTH_JWT_SECRET: z
    .string()
    .min(MIN_SECRET_CHARACTERS, { error: `must have at least ${MIN_SECRET_CHARACTERS} characters` })
    .optional(),
  AUTH_JWKS_URL: urlWith(['https://', 'http://']),
  AUTH_JWT_ISSUER: z.string().optional(),
  AUTH_JWT_AUDIENCE: z.string().optional(),
  // Several hosts with ports are no URL to URL; the event store reads it itself, and says what is wrong with it.
  EVENT_STORE_URL: beginsWith(EVENT_STORE_SCHEMES, () => true),
  LOG_LEVEL: z.enum(LOG_LEVELS, { error: `must be one of ${LOG_LEVELS.join(', ')}` }).default('info'),
  RECONCILER_INTERVAL_SECONDS: wholeNumber(1, 86_400, 10),
  PROJECTOR_BATCH_SIZE: wholeNumber(1, 100_000, 5_000),
});

type Environment = z.infer<typeof environmentSchema>;

/** How bearer tokens are verified: a shared secret (HS256) or the public keys of an issuer. */
export type AuthConfig = (
  | { readonly kind: 'secret'; readonly secret: string }
  | { readonly kind: 'jwks'; readonly jwksUrl: string }
) & { readonly issuer?: string; readonly audience?: string };

export interface Config {
  /** Absent: the embedded PostgreSQL under `home`. */
  readonly databaseUrl?: string;
  /**
   * Connections at most in each of a process's two pools. Beside them it has one for each channel that it listens on, at
   * most two, and as a projector one for each generation that it follows.
   */
  readonly databasePoolSize: number;
  /** Absolute folder of everything this installation keeps on disk. */
  readonly home: string;
  /** Absolute path of the first generation's policy. */
  readonly policyFile?: string;
  readonly port: number;
  readonly host: string;
  readonly roles: ReadonlySet<Role>;
  /** Absent only where authentication was not required. */
  readonly auth?: AuthConfig;
  /** Absent: events are kept in PostgreSQL. May carry credentials: never print it. */
  readonly eventStoreUrl?: string;
  readonly logLevel: (typeof LOG_LEVELS)[number];
  readonly reconcilerIntervalSeconds: number;
  /** Events per projector transaction. */
  readonly projectorBatchSize: number;
}

/**
 * Reads the settings out of an environment, once. Empty variables count as absent. Authentication is required when
 * the api role is on, unless `requireAuth` says otherwise. Throws ConfigError.
 */
export function loadConfig(env: NodeJS.ProcessEnv, options: { requireAuth?: boolean } = {}): Config {
  const given = Object.fromEntries(
    Object.keys(environmentSchema.shape).flatMap((name) => {
      const value = env[name]?.trim();
      return value ? [[name, value] as const] : [];
    }),
  );
  const parsed = environmentSchema.safeParse(given);
  const issues = parsed.success ? [] : parsed.error.issues;
  const lines = new Map(
    issues.map(({ path, message }) => [String(path[0]), `${String(path[0])}: ${message}`]),
  );
  const apiIsOn = parsed.data?.ROLES.has('api') ?? (given.ROLES === undefined || given.ROLES.includes('api'));
  const authProblem = wrongAuth(given, options.requireAuth ?? apiIsOn);
  const problems = [...lines.values(), ...(authProblem === undefined ? [] : [authProblem])];
  if (!parsed.success || problems.length > 0) throw new ConfigError(problems);
  return toConfig(parsed.data);
}

function wrongAuth(given: Record<string, string>, required: boolean): string | undefined {
  const { AUTH_JWT_SECRET: secret, AUTH_JWKS_URL: jwksUrl } = given;
  if (secret !== undefined && jwksUrl !== undefined)
    return 'AUTH_JWT_SECRET, AUTH_JWKS_URL: set one of them, not both';
  if (!required || secret !== undefined || jwksUrl !== undefined) return undefined;
  return (
    `AUTH_JWT_SECRET, AUTH_JWKS_URL: the api role needs one of them, a secret of at least ` +
    `${MIN_SECRET_CHARACTERS} characters (openssl rand -hex 32 makes one) or the URL of your issuer's keys`
  );
}

function toConfig(parsed: Environment): Config {
  const auth = authOf(parsed);
  return {
    ...(parsed.DATABASE_URL !== undefined && { databaseUrl: parsed.DATABASE_URL }),
    databasePoolSize: parsed.DATABASE_POOL_SIZE,
    home: resolve(parsed.OPSTRUTH_HOME),
    ...(parsed.OPSTRUTH_POLICY_FILE !== undefined && { policyFile: resolve(parsed.OPSTRUTH_POLICY_FILE) }),
    port: parsed.PORT,
    host: parsed.HOST,
    roles: parsed.ROLES,
    ...(auth !== undefined && { auth }),
    ...(parsed.EVENT_STORE_URL !== undefined && { eventStoreUrl: parsed.EVENT_STORE_URL }),
    logLevel: parsed.LOG_LEVEL,
    reconcilerIntervalSeconds: parsed.RECONCILER_INTERVAL_SECONDS,
    projectorBatchSize: parsed.PROJECTOR_BATCH_SIZE,
  };
}

function authOf(parsed: Environment): AuthConfig | undefined {
  const claims = {
    ...(parsed.AUTH_JWT_ISSUER !== undefined && { issuer: parsed.AUTH_JWT_ISSUER }),
    ...(parsed.AUTH_JWT_AUDIENCE !== undefined && { audience: parsed.AUTH_JWT_AUDIENCE }),
  };
  if (parsed.AUTH_JWT_SECRET !== undefined)
    return { kind: 'secret', secret: parsed.AUTH_JWT_SECRET, ...claims };
  if (parsed.AUTH_JWKS_URL !== undefined) return { kind: 'jwks', jwksUrl: parsed.AUTH_JWKS_URL, ...claims };
  return undefined;
}
