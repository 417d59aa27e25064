import { resolve } from 'node:path';
import { ConfigError, loadConfig } from '../src/config';

const SECRET = 'a-secret-of-more-than-thirty-two-characters';

function problemsOf(env: NodeJS.ProcessEnv, options?: { requireAuth?: boolean }): readonly string[] {
  try {
    loadConfig(env, options);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

describe('loadConfig', () => {
  test('needs nothing but a way to verify tokens', () => {
    expect(loadConfig({ AUTH_JWT_SECRET: SECRET })).toEqual({
      databasePoolSize: 10,
      home: resolve('.opstruth'),
      port: 3000,
      host: '127.0.0.1',
      roles: new Set(['api', 'projector', 'reconciler']),
      auth: { kind: 'secret', secret: SECRET },
      logLevel: 'info',
      reconcilerIntervalSeconds: 10,
      projectorBatchSize: 5000,
    });
  });

  test('reads every setting', () => {
    const config = loadConfig({
      DATABASE_URL: 'postgresql://u:p@db:5432/ops',
      DATABASE_POOL_SIZE: '25',
      OPSTRUTH_HOME: '/var/lib/opstruth',
      OPSTRUTH_POLICY_FILE: '/etc/opstruth/policy.json',
      PORT: '0',
      HOST: '0.0.0.0',
      ROLES: 'projector, api',
      AUTH_JWKS_URL: 'https://issuer.example/keys',
      AUTH_JWT_ISSUER: 'https://issuer.example',
      AUTH_JWT_AUDIENCE: 'opstruth',
      EVENT_STORE_URL: 'esdb+discover://admin:x@cluster:2113?tls=true',
      LOG_LEVEL: 'debug',
      RECONCILER_INTERVAL_SECONDS: '5',
      PROJECTOR_BATCH_SIZE: '500',
    });
    expect(config).toEqual({
      databaseUrl: 'postgresql://u:p@db:5432/ops',
      databasePoolSize: 25,
      home: '/var/lib/opstruth',
      policyFile: '/etc/opstruth/policy.json',
      port: 0,
      host: '0.0.0.0',
      roles: new Set(['projector', 'api']),
      auth: {
        kind: 'jwks',
        jwksUrl: 'https://issuer.example/keys',
        issuer: 'https://issuer.example',
        audience: 'opstruth',
      },
      eventStoreUrl: 'esdb+discover://admin:x@cluster:2113?tls=true',
      logLevel: 'debug',
      reconcilerIntervalSeconds: 5,
      projectorBatchSize: 500,
    });
  });

  test('an empty variable is an absent one', () => {
    expect(loadConfig({ AUTH_JWT_SECRET: SECRET, PORT: '', DATABASE_URL: ' ' })).toMatchObject({
      port: 3000,
    });
    expect(problemsOf({ AUTH_JWT_SECRET: '' })).toHaveLength(1);
  });

  test('names every wrong setting in a line of its own, authentication included', () => {
    const problems = problemsOf({
      PORT: '70000',
      ROLES: 'api,janitor',
      LOG_LEVEL: 'loud',
      PROJECTOR_BATCH_SIZE: '2e3',
      DATABASE_URL: 'mysql://db/ops',
    });
    expect(problems).toHaveLength(6);
    for (const name of ['PORT', 'ROLES', 'LOG_LEVEL', 'PROJECTOR_BATCH_SIZE', 'DATABASE_URL']) {
      expect(problems.filter((line) => line.startsWith(`${name}: must be `))).toHaveLength(1);
    }
    expect(problems.at(-1)).toMatch(/^AUTH_JWT_SECRET, AUTH_JWKS_URL: /);
    expect(new ConfigError(problems).message.split('\n')).toHaveLength(7);
  });

  test('the api role does not start without a way to verify tokens, and never with two', () => {
    expect(problemsOf({})).toEqual([expect.stringMatching(/the api role needs one of them/)]);
    expect(problemsOf({ AUTH_JWT_SECRET: SECRET, AUTH_JWKS_URL: 'https://issuer.example/keys' })).toEqual([
      expect.stringMatching(/not both/),
    ]);
    expect(problemsOf({ ROLES: 'projector,reconciler' })).toEqual([]);
    expect(problemsOf({}, { requireAuth: false })).toEqual([]);
    expect(problemsOf({ ROLES: 'projector' }, { requireAuth: true })).toHaveLength(1);
  });

  test('a short secret is refused, and not required ones are checked all the same', () => {
    expect(problemsOf({ AUTH_JWT_SECRET: 'too-short' }, { requireAuth: false })).toEqual([
      'AUTH_JWT_SECRET: must have at least 32 characters',
    ]);
  });

  test.each([
    'esdb://node:2113',
    'esdb+discover://cluster:2113',
    'kurrentdb://node:2113',
    'kurrentdb+discover://admin:x@one:2113,two:2113,three:2113?tls=false',
  ])('takes the event store %s', (url) =>
    expect(loadConfig({ AUTH_JWT_SECRET: SECRET, EVENT_STORE_URL: url }).eventStoreUrl).toBe(url),
  );

  test('no value is repeated in a message, whatever stands in whichever variable', () => {
    const secret = 'hunter2';
    const names = ['DATABASE_URL', 'DATABASE_POOL_SIZE', 'PORT', 'ROLES', 'AUTH_JWT_SECRET', 'AUTH_JWKS_URL'];
    const env = Object.fromEntries(
      [...names, 'EVENT_STORE_URL', 'LOG_LEVEL', 'RECONCILER_INTERVAL_SECONDS'].map((name) => [name, secret]),
    );
    const problems = problemsOf(env);
    expect(problems.length).toBeGreaterThanOrEqual(9);
    expect(problems.join('\n')).not.toContain(secret);
  });
});
