import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mintToken } from '../../src/auth/mint-token';
import type { TokenRequest } from '../../src/auth/mint-token';
import { createVerifier } from '../../src/auth/verifier';
import { addSeconds } from '../../src/events/instant';

const SECRET = 'a secret of at least thirty-two characters';
const NOW = '2026-03-01T12:00:00.000Z';

function verifier(now = NOW, more: { issuer?: string; audience?: string } = {}) {
  return createVerifier({ kind: 'secret', secret: SECRET, ...more }, { now: () => now });
}

function mint(request: Partial<TokenRequest> = {}) {
  return mintToken({
    secret: SECRET,
    subject: 'alice',
    plane: 'admin',
    workspaces: '*',
    capabilities: ['runs.triage'],
    ttlSeconds: 60,
    now: NOW,
    ...request,
  });
}

/** Signs any claims, also those that mintToken would refuse. */
async function sign(claims: Record<string, unknown>, alg = 'HS256', secret = SECRET) {
  const { SignJWT } = await import('jose');
  return new SignJWT(claims).setProtectedHeader({ alg }).sign(new TextEncoder().encode(secret));
}

const EXP = Date.parse(NOW) / 1000 + 60;

describe('tokens signed with the shared secret', () => {
  test('a minted token gives back its subject, plane, scope and capabilities', async () => {
    const token = await mint({ workspaces: [{ id: 'w1' }, { id: 'w2', tenants: ['t1', 't2'] }] });
    expect(await verifier().verify(token)).toEqual({
      ok: true,
      principal: {
        subject: 'alice',
        plane: 'admin',
        scope: {
          kind: 'grants',
          grants: [
            { workspaceId: 'w1', tenantIds: null },
            { workspaceId: 'w2', tenantIds: ['t1', 't2'] },
          ],
        },
        capabilities: new Set(['runs.triage']),
      },
    });
  });

  test('a token that was accepted before is refused once it has expired', async () => {
    let now = NOW;
    const verify = createVerifier({ kind: 'secret', secret: SECRET }, { now: () => now });
    const token = await mint({ ttlSeconds: 30 });
    expect(await verify.verify(token)).toMatchObject({ ok: true });
    now = addSeconds(NOW, 29);
    expect(await verify.verify(token)).toMatchObject({ ok: true });
    now = addSeconds(NOW, 36);
    expect(await verify.verify(token)).toMatchObject({ ok: false, reason: 'expired' });
  });

  test('an admin token without workspaces sees nothing', async () => {
    const result = await verifier().verify(await sign({ sub: 'bob', plane: 'admin', exp: EXP }));
    expect(result).toMatchObject({ ok: true, principal: { scope: { kind: 'grants', grants: [] } } });
  });

  test('a system token sees everything, and one that pretends to be limited is refused', async () => {
    const free = await verifier().verify(await sign({ sub: 'root', plane: 'system', exp: EXP }));
    expect(free).toMatchObject({ ok: true, principal: { scope: { kind: 'everything' } } });
    const limited = await sign({ sub: 'root', plane: 'system', workspaces: [{ id: 'w1' }], exp: EXP });
    expect(await verifier().verify(limited)).toMatchObject({ ok: false, reason: 'invalid' });
  });

  test('capabilities of the other plane or of nobody are not taken over', async () => {
    const claims = {
      sub: 'bob',
      plane: 'admin',
      capabilities: ['ops.triage', 'runs.write', 'sudo'],
      exp: EXP,
    };
    const result = await verifier().verify(await sign(claims));
    expect(result).toMatchObject({ principal: { capabilities: new Set(['runs.write']) } });
  });

  test('expiry is judged by the injected clock, with a few seconds of tolerance', async () => {
    const token = await mint();
    expect(await verifier(addSeconds(NOW, 63)).verify(token)).toMatchObject({ ok: true });
    expect(await verifier(addSeconds(NOW, 66)).verify(token)).toMatchObject({ ok: false, reason: 'expired' });
  });

  test.each([
    ['no expiry', { sub: 'a', plane: 'admin' }],
    ['no subject', { plane: 'admin', exp: EXP }],
    ['no plane', { sub: 'a', exp: EXP }],
    ['an unknown plane', { sub: 'a', plane: 'root', exp: EXP }],
    ['workspaces of another shape', { sub: 'a', plane: 'admin', workspaces: 'w1', exp: EXP }],
    ['not valid yet', { sub: 'a', plane: 'admin', exp: EXP, nbf: EXP - 30 }],
  ])('a token with %s is invalid', async (_, claims) => {
    expect(await verifier().verify(await sign(claims))).toMatchObject({ ok: false, reason: 'invalid' });
  });

  test.each([
    ['a\u0000b', 'must not contain control characters'],
    ['a\nb', 'must not contain control characters'],
    ['a\ud83d', 'must not contain half a surrogate pair'],
    ['  ', 'must not be blank, "." or ".."'],
  ])('a subject %j was taken, and then could not be stored or told', async (sub, message) => {
    const token = await sign({ sub, plane: 'admin', exp: EXP });
    expect(await verifier().verify(token)).toEqual({
      ok: false,
      reason: 'invalid',
      detail: `claim sub: ${message}`,
    });
  });

  test('another secret, another algorithm, no algorithm and no token at all are invalid', async () => {
    const claims = { sub: 'a', plane: 'admin', exp: EXP };
    const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url');
    const unsigned = `${encode({ alg: 'none' })}.${encode(claims)}.`;
    const tokens = [
      await sign(claims, 'HS256', 'another secret of thirty-two characters'),
      await sign(claims, 'HS512'),
      unsigned,
      'not-a-token',
      '',
    ];
    for (const token of tokens)
      expect(await verifier().verify(token)).toMatchObject({ ok: false, reason: 'invalid' });
  });

  test('issuer and audience must match when they are configured', async () => {
    const strict = verifier(NOW, { issuer: 'https://id.example', audience: 'opstruth' });
    expect(await strict.verify(await mint())).toMatchObject({ ok: false });
    expect(
      await strict.verify(await mint({ issuer: 'https://id.example', audience: 'other' })),
    ).toMatchObject({
      ok: false,
    });
    const good = await mint({ issuer: 'https://id.example', audience: 'opstruth' });
    expect(await strict.verify(good)).toMatchObject({ ok: true });
  });
});

describe("tokens signed with an issuer's keys", () => {
  let server: Server;
  let url: string;
  let signWith: (alg: string) => Promise<string>;

  beforeAll(async () => {
    const { SignJWT, exportJWK, generateKeyPair } = await import('jose');
    const pairs = new Map<string, Awaited<ReturnType<typeof generateKeyPair>>>();
    for (const alg of ['ES256', 'EdDSA', 'RS256']) pairs.set(alg, await generateKeyPair(alg));
    const keys = await Promise.all(
      [...pairs].map(async ([alg, { publicKey }]) => ({ ...(await exportJWK(publicKey)), kid: alg, alg })),
    );
    server = createServer((_, response) => response.end(JSON.stringify({ keys })));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`;
    signWith = (alg) =>
      new SignJWT({ sub: 'carol', plane: 'admin', exp: EXP })
        .setProtectedHeader({ alg, kid: alg })
        .sign(pairs.get(alg)!.privateKey);
  });

  afterAll(() => new Promise((resolve) => server.close(resolve)));

  const byKeys = (jwksUrl: string) => createVerifier({ kind: 'jwks', jwksUrl }, { now: () => NOW });

  test.each(['ES256', 'EdDSA', 'RS256'])('%s is accepted', async (alg) => {
    expect(await byKeys(url).verify(await signWith(alg))).toMatchObject({
      ok: true,
      principal: { subject: 'carol' },
    });
  });

  test('a symmetric signature is never accepted', async () => {
    expect(await byKeys(url).verify(await mint())).toMatchObject({ ok: false, reason: 'invalid' });
  });

  test('keys that cannot be read say nothing about the token', async () => {
    const closed = byKeys('http://127.0.0.1:9/jwks.json');
    expect(await closed.verify(await signWith('ES256'))).toMatchObject({
      ok: false,
      reason: 'keys_unavailable',
    });
  });
});
