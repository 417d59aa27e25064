import { Controller, Get, Post } from '@nestjs/common';
import { CurrentPrincipal, NeedsCapability, OnPlane, Public } from '../../src/auth/auth.guard';
import type { Principal } from '../../src/auth/principal';
import { addSeconds } from '../../src/events/instant';
import { NOW, bearer, createTestApp } from './test-app';
import type { TestApp } from './test-app';

@Controller('admin')
@OnPlane('admin')
class AdminController {
  @Get('whoami')
  whoami(@CurrentPrincipal() principal: Principal) {
    return { subject: principal.subject, plane: principal.plane, scope: principal.scope };
  }

  @Post('triage')
  @NeedsCapability('runs.triage')
  triage() {
    return { done: true };
  }

  @Public()
  @Get('open')
  open() {
    return { open: true };
  }

  @Get('either')
  @OnPlane('admin', 'system')
  either() {
    return { either: true };
  }
}

@Controller('system')
@OnPlane('system')
class SystemController {
  @Get('ops')
  ops() {
    return { ops: true };
  }
}

@Controller('forgotten')
class ForgottenController {
  @Get()
  get() {
    return { secret: true };
  }
}

describe('the guard', () => {
  let test: TestApp;
  let now = NOW;

  beforeAll(async () => {
    const controllers = [AdminController, SystemController, ForgottenController];
    test = await createTestApp(controllers, { clock: { now: () => now } });
  });
  beforeEach(() => (now = NOW));
  afterAll(() => test.close());

  async function get(url: string, headers: Record<string, string> = {}) {
    const response = await test.inject({ method: 'GET', url, headers });
    return {
      status: response.statusCode,
      headers: response.headers,
      body: response.json<{ code?: string }>(),
    };
  }

  it('lets a token of the plane in and says who it is', async () => {
    const headers = await bearer({ workspaces: [{ id: 'w1', tenants: ['t1'] }] });
    expect((await get('/admin/whoami', headers)).body).toEqual({
      subject: 'alice',
      plane: 'admin',
      scope: { kind: 'grants', grants: [{ workspaceId: 'w1', tenantIds: ['t1'] }] },
    });
  });

  it.each([
    ['no token', undefined, 'Bearer'],
    ['another scheme', 'Basic YTpi', 'Bearer error="invalid_request"'],
    ['a made-up token', 'Bearer abc.def.ghi', 'Bearer error="invalid_token"'],
  ])('answers %s with 401 and a challenge', async (_, authorization, challenge) => {
    const { status, headers, body } = await get('/admin/whoami', authorization ? { authorization } : {});
    expect(status).toBe(401);
    expect(headers['www-authenticate']).toBe(challenge);
    expect(headers['content-type']).toBe('application/problem+json; charset=utf-8');
    expect(body).toMatchObject({ code: 'unauthenticated', status: 401 });
  });

  it('answers an expired token with 401', async () => {
    const headers = await bearer({ ttlSeconds: 60 });
    now = addSeconds(NOW, 120);
    expect(await get('/admin/whoami', headers)).toMatchObject({
      status: 401,
      body: { code: 'unauthenticated', detail: 'the token has expired' },
    });
  });

  it('never opens one plane to a token of the other', async () => {
    const admin = await bearer();
    const system = await bearer({ plane: 'system' });
    expect(await get('/system/ops', admin)).toMatchObject({ status: 403, body: { code: 'wrong_plane' } });
    expect(await get('/admin/whoami', system)).toMatchObject({ status: 403, body: { code: 'wrong_plane' } });
    expect(await get('/system/ops', system)).toMatchObject({ status: 200 });
    expect(await get('/admin/either', system)).toMatchObject({ status: 200 });
    expect(await get('/admin/either', admin)).toMatchObject({ status: 200 });
  });

  it('asks for the capability of a handler', async () => {
    const post = async (capabilities: 'runs.triage'[]) =>
      test.inject({ method: 'POST', url: '/admin/triage', headers: await bearer({ capabilities }) });
    const refused = await post([]);
    expect(refused.statusCode).toBe(403);
    expect(refused.json()).toMatchObject({ code: 'missing_capability', capability: 'runs.triage' });
    expect((await post(['runs.triage'])).statusCode).toBe(201);
  });

  it('leaves public handlers open', async () => {
    expect(await get('/admin/open')).toMatchObject({ status: 200, body: { open: true } });
  });

  it('answers nobody on a route that declares no plane', async () => {
    const { status, body } = await get('/forgotten', await bearer());
    expect(status).toBe(500);
    expect(JSON.stringify(body)).not.toContain('secret');
  });

  it('never logs a token', async () => {
    const headers = await bearer();
    await get('/admin/whoami', headers);
    const log = JSON.stringify(test.log());
    expect(log).toContain('"path":"/admin/whoami"');
    expect(log).not.toContain(headers.authorization.slice('Bearer '.length));
  });
});
