import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { Controller, Get, HttpException, NotFoundException, Param, Post, Res } from '@nestjs/common';
import { RouteConfig } from '@nestjs/platform-fastify';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { OnPlane, Public } from '../../src/auth/auth.guard';
import { BODY_LIMIT_BYTES } from '../../src/http/http-app';
import { ParsedBody, ParsedParams, ParsedQuery } from '../../src/http/parsed';
import { EventStoreUnavailableError } from '../../src/event-store/event-store';
import { Problem } from '../../src/http/problem';
import { many, single, wholeNumber } from '../../src/http/query-values';
import { NoSlotError } from '../../src/tools/slots';
import { bearer, createTestApp } from './test-app';
import type { TestApp } from './test-app';

const bodySchema = z.object({ name: z.string(), count: z.number().int().optional() });
const querySchema = z.strictObject({
  status: many(z.enum(['queued', 'running'])).optional(),
  limit: single(wholeNumber(1, 10)).default(5),
});

const members = { allowedActions: ['retry'], currentVersion: 7 };
const THROWN: Record<string, () => unknown> = {
  illegal: () =>
    new Problem('illegal_transition', { detail: 'cannot cancel run r1: it is completed', members }),
  precondition: () => Problem.preconditionFailed(7),
  reason: () => Problem.reasonRequired('marking a run failed needs a reason'),
  position: () => Problem.positionNotReached('9.9', '8.1', 2),
  key: () => Problem.idempotencyKeyReused('k1'),
  ready: () => Problem.notReady('no generation is live'),
  missing: () => Problem.notFound(),
  nest: () => new NotFoundException('no such thing'),
  teapot: () => new HttpException('short and stout', 418),
  busy: () => new HttpException('no room in the pool of db.internal', 503),
  zod: () => z.object({ a: z.string() }).safeParse({}).error,
  database: () => Object.assign(new Error('connect ECONNREFUSED 10.0.0.7:5432'), { code: 'ECONNREFUSED' }),
  lost: () => new Error('Connection terminated unexpectedly'),
  broken: () => new Error('Client has encountered a connection error and is not queryable'),
  log: () => new EventStoreUnavailableError('append to x: no answer'),
  slot: () => new NoSlotError('7 at work, and none came to an end within 10000 ms'),
  bug: () => new Error('connection to db.internal:5432 refused, password hunter2'),
  text: () => 'thrown text',
};

async function* endless(first: string) {
  yield first;
  await new Promise(() => undefined);
}

@Controller()
@Public()
class ProblemsController {
  @Get('throw/:what')
  fail(@ParsedParams(z.object({ what: z.string() })) { what }: { what: string }) {
    throw THROWN[what]!();
  }

  @Get('items/:id')
  item(@ParsedParams(z.object({ id: z.string() })) params: { id: string }) {
    return params;
  }

  @Post('items')
  create(@ParsedBody(bodySchema) body: z.infer<typeof bodySchema>) {
    return body;
  }

  @Post('items::batch')
  @RouteConfig({ bodyLimit: 2 * BODY_LIMIT_BYTES })
  batch(@ParsedBody(bodySchema) body: z.infer<typeof bodySchema>) {
    return { length: body.name.length };
  }

  /** Never ends by itself. */
  @Get('slow/:begun?')
  slow(@Param('begun') begun: string | undefined, @Res({ passthrough: true }) reply: FastifyReply) {
    void reply.type('text/plain');
    return begun ? Readable.from(endless(begun)) : new Promise(() => undefined);
  }

  @Get('list')
  list(@ParsedQuery(querySchema) query: z.infer<typeof querySchema>) {
    return query;
  }
}

@Controller('closed')
@OnPlane('admin')
class ClosedController {
  @Post()
  create(@ParsedBody(z.object({ note: z.string().optional() })) body: object) {
    return body;
  }
}

describe('problems', () => {
  let test: TestApp;
  beforeAll(async () => {
    test = await createTestApp([ProblemsController, ClosedController]);
    await test.app.listen(0, '127.0.0.1');
  });
  afterAll(() => test.close());

  async function request(
    method: 'GET' | 'POST' | 'DELETE',
    url: string,
    payload?: string | object,
    type?: string,
  ) {
    const response = await test.inject({
      method,
      url,
      ...(payload !== undefined && { payload }),
      headers: { 'x-request-id': 'req-1', ...(type && { 'content-type': type }) },
    });
    return response;
  }

  async function problem(...call: Parameters<typeof request>) {
    const response = await request(...call);
    expect(response.headers['content-type']).toBe('application/problem+json; charset=utf-8');
    const body = response.json<Record<string, unknown>>();
    expect(body).toMatchObject({
      type: `urn:opstruth:problem:${String(body.code)}`,
      status: response.statusCode,
      title: expect.any(String) as string,
    });
    return { headers: response.headers, body };
  }

  it.each([
    ['illegal', 409, { code: 'illegal_transition', allowedActions: ['retry'], currentVersion: 7 }],
    ['precondition', 412, { code: 'precondition_failed', currentVersion: 7 }],
    ['reason', 422, { code: 'reason_required' }],
    ['position', 503, { code: 'position_not_reached', minPosition: '9.9', position: '8.1' }],
    ['key', 422, { code: 'idempotency_key_reused' }],
    ['ready', 503, { code: 'not_ready', detail: 'no generation is live' }],
    ['database', 503, { code: 'not_ready', detail: 'the database is not available at the moment' }],
    ['lost', 503, { code: 'not_ready', detail: 'the database is not available at the moment' }],
    ['broken', 503, { code: 'not_ready', detail: 'the database is not available at the moment' }],
    ['log', 503, { code: 'not_ready', detail: 'the event store does not answer' }],
    ['slot', 503, { code: 'not_ready', detail: expect.stringContaining('too many other reads') as string }],
    ['missing', 404, { code: 'not_found' }],
    ['nest', 404, { code: 'not_found', detail: 'no such thing' }],
    ['zod', 400, { code: 'invalid_request', errors: [{ path: 'a', message: expect.any(String) as string }] }],
  ])('%s is %i', async (what, status, members) => {
    const { body, headers } = await problem('GET', `/throw/${what}`);
    expect(body).toMatchObject({ status, instance: 'req-1', ...members });
    expect(headers).toMatchObject({ 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' });
  });

  it('says when to ask again for a position', async () => {
    expect((await problem('GET', '/throw/position')).headers['retry-after']).toBe('2');
  });

  it.each(['bug', 'text', 'teapot'])('tells nothing about an unexpected %s, and logs it', async (what) => {
    const { body } = await problem('GET', `/throw/${what}`);
    expect(body).toEqual({
      type: 'urn:opstruth:problem:internal',
      title: 'Something went wrong on our side',
      status: 500,
      code: 'internal',
      instance: 'req-1',
    });
    const entry = test.log().filter(({ msg }) => msg === 'request failed');
    expect(entry.at(-1)).toMatchObject({ level: 'error', reqId: 'req-1' });
    if (what === 'bug') expect(JSON.stringify(entry)).toContain('db.internal');
  });

  it('tells nothing of what was written about a 503, but for the log', async () => {
    const { body } = await problem('GET', '/throw/busy');
    expect(body).toMatchObject({ status: 503, code: 'not_ready' });
    expect(body).not.toHaveProperty('detail');
  });

  it('tells a path that is not there from a method that is not taken', async () => {
    expect((await problem('GET', '/nowhere?x=1')).body).toMatchObject({
      status: 404,
      code: 'route_not_found',
    });
    const { body, headers } = await problem('DELETE', '/items/a%2Fb');
    expect(body).toMatchObject({ status: 405, code: 'method_not_allowed' });
    expect(headers.allow).toBe('GET, HEAD');
    expect((await problem('GET', '/items:batch')).headers.allow).toBe('POST');
  });

  it.each([
    ['broken JSON', '{"name":', 'application/json', 400, 'invalid_request'],
    ['a form', 'name=x', 'application/x-www-form-urlencoded', 415, 'unsupported_media_type'],
    ['text', 'hello', 'text/plain', 415, 'unsupported_media_type'],
    [
      'too much',
      JSON.stringify({ name: 'x'.repeat(BODY_LIMIT_BYTES) }),
      'application/json',
      413,
      'payload_too_large',
    ],
    [
      'prototype pollution',
      '{"__proto__": {"a": 1}, "name": "x"}',
      'application/json',
      400,
      'invalid_request',
    ],
    [
      'letters of another encoding',
      Buffer.from('{"name":"Jürg"}', 'latin1'),
      'application/json',
      400,
      'invalid_request',
    ],
  ])('refuses %s', async (_, payload, type, status, code) => {
    expect((await problem('POST', '/items', payload, type)).body).toMatchObject({ status, code });
  });

  it('took a body that said it was compressed as if it had said nothing', async () => {
    const headers = { 'content-type': 'application/json', 'content-encoding': 'gzip' };
    const answers = [gzipSync('{"name":"x"}'), '{"name":"x"}'].map((payload) =>
      test.inject({ method: 'POST', url: '/items', payload, headers }),
    );
    for (const { statusCode, headers: told, json } of await Promise.all(answers))
      expect([statusCode, told['accept-encoding'], json<{ detail: string }>().detail]).toEqual([
        415,
        'identity',
        'the body must not be compressed',
      ]);
  });

  it('refuses a URL that cannot be decoded', async () => {
    expect((await problem('GET', '/items/%zz')).body).toMatchObject({ status: 400, code: 'invalid_request' });
  });

  it('refuses a path parameter of absurd length', async () => {
    expect((await problem('GET', `/items/${'x'.repeat(3000)}`)).body).toMatchObject({
      status: 414,
      code: 'url_too_long',
    });
  });

  it('lists every issue of a body, unknown fields among them', async () => {
    const { body } = await problem('POST', '/items', { count: 1.5, colour: 'red', size: 1 });
    expect(body).toMatchObject({ status: 400, code: 'invalid_request' });
    const errors = body.errors as { path: string; message: string }[];
    expect(errors.map(({ path }) => path).sort()).toEqual(['colour', 'count', 'name', 'size']);
    expect(errors.filter(({ message }) => message === 'unknown field')).toHaveLength(2);
    expect(body.detail).toContain('colour: unknown field');
    expect((await problem('POST', '/items')).body).toMatchObject({ errors: [{ path: 'name' }] });
  });

  it('told what is wrong with an input in the words of a library', async () => {
    const told = async (...call: Parameters<typeof request>) => (await problem(...call)).body.detail;
    expect(await told('POST', '/items', { count: 1.5 })).toBe(
      'name: is missing; count: must be a whole number',
    );
    expect(await told('POST', '/items', { name: [] })).toBe('name: must be a string');
    expect(await told('GET', '/list?status=done')).toBe('status: must be one of queued, running');
  });

  it('refuses unknown, empty and contradicting query parameters, and tolerates repetition', async () => {
    const list = async (query: string) =>
      (await request('GET', `/list?${query}`)).json<Record<string, unknown>>();
    expect(await list('limit=3&limit=3&status=running&status=queued&status=running')).toEqual({
      limit: 3,
      status: ['queued', 'running'],
    });
    expect(await list('status=queued')).toEqual({ limit: 5, status: ['queued'] });
    for (const [query, path] of [
      ['limit=3&limit=4', 'limit'],
      ['limit=', 'limit'],
      ['limit=11', 'limit'],
      ['limit=1e1', 'limit'],
      ['status=done', 'status'],
      ['status=queued&status=done&status=over', 'status'],
      ['status=', 'status'],
      ['stauts=queued', 'stauts'],
    ] as const)
      expect(await list(query)).toMatchObject({ status: 400, code: 'invalid_request', errors: [{ path }] });
  });

  it('serves a path with a literal colon, with a body limit of its own', async () => {
    const payload = { name: 'x'.repeat(BODY_LIMIT_BYTES + 1) };
    const response = await request('POST', '/items:batch', payload);
    expect(response.statusCode).toBe(201);
    expect(response.json()).toEqual({ length: BODY_LIMIT_BYTES + 1 });
  });

  it('carried out what came with a parameter that it did not know', async () => {
    const post = async (query: string) =>
      test.inject({ method: 'POST', url: `/closed${query}`, headers: await bearer() });
    expect((await post('?dryRun=true&x=1')).json()).toMatchObject({
      status: 400,
      errors: [
        { path: 'dryRun', message: 'unknown field' },
        { path: 'x', message: 'unknown field' },
      ],
    });
    expect((await post('')).statusCode).toBe(201);
    expect((await request('POST', '/closed?dryRun=true')).statusCode).toBe(401);
    // Probes and scrapers add what they like.
    expect((await request('GET', '/items/1?t=1')).statusCode).toBe(200);
  });

  it('refused a command without a body from a client that names the type of every body', async () => {
    const headers = { ...(await bearer()), 'content-type': 'application/json' };
    const response = await test.inject({ method: 'POST', url: '/closed', headers, payload: '' });
    expect([response.statusCode, response.json()]).toEqual([201, {}]);
    const { body } = await problem('POST', '/items', '', 'application/json');
    expect(body).toMatchObject({ status: 400, errors: [{ path: 'name', message: 'is missing' }] });
  });

  it.each([
    [`GET /items/${'x'.repeat(20_000)} HTTP/1.1\r\nhost: x\r\n\r\n`, 431, 'headers_too_large'],
    ['GET /items/1 HTTP/1.1\r\nhost: x\r\nbroken header\r\n\r\n', 400, 'invalid_request'],
    ['nonsense\r\n\r\n', 400, 'invalid_request'],
  ])('what no router has seen was refused in another form: %.20s', async (bytes, status, code) => {
    const { port } = test.app.getHttpServer().address() as AddressInfo;
    const socket = connect(port, '127.0.0.1');
    socket.end(bytes);
    const answer = await text(socket);
    const [head, body] = answer.split('\r\n\r\n') as [string, string];
    expect(head).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(head).toContain('content-type: application/problem+json');
    expect(JSON.parse(body)).toMatchObject({ status, code, instance: expect.any(String) as string });
  });

  it.each([
    ['before', ''],
    ['in the middle of', 'begun'],
  ])('wrote a refusal %s an answer that was under way', async (_, begun) => {
    const { port } = test.app.getHttpServer().address() as AddressInfo;
    const socket = connect(port, '127.0.0.1');
    socket.end(`GET /slow/${begun} HTTP/1.1\r\nhost: x\r\n\r\nnonsense\r\n\r\n`);
    expect(await text(socket)).not.toContain('400');
  });

  it('hands over an encoded slash as part of one parameter', async () => {
    const id = 'a/b c=%é:?#+';
    const response = await request('GET', `/items/${encodeURIComponent(id)}`);
    expect(response.json()).toEqual({ id });
  });

  it('takes over a sane request id only', async () => {
    const idFor = async (given: string) =>
      (await test.inject({ method: 'GET', url: '/list', headers: { 'x-request-id': given } })).headers[
        'x-request-id'
      ];
    expect(await idFor('abc-123')).toBe('abc-123');
    expect(await idFor('bad id "\n')).toMatch(/^[0-9a-f-]{36}$/);
    expect(await idFor('x'.repeat(129))).toMatch(/^[0-9a-f-]{36}$/);
  });
});
