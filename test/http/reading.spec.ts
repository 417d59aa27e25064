import { Controller, Get, Header, Inject, Query } from '@nestjs/common';
import type { OpenAPIObject } from '@nestjs/swagger';
import { CurrentPrincipal, OnPlane } from '../../src/auth/auth.guard';
import type { Principal } from '../../src/auth/principal';
import type { Clock } from '../../src/events/instant';
import { formatPosition } from '../../src/events/position';
import { CLOCK } from '../../src/http/clock';
import { ParsedQuery } from '../../src/http/parsed';
import { listParametersSchema, readRequest } from '../../src/http/read-request';
import type { PageParameters, ReadParameters } from '../../src/http/read-request';
import { NOW, bearer, createTestApp } from './test-app';
import type { TestApp } from './test-app';

let stuck = 0;
let asked = 0;

@Controller()
@OnPlane('admin', 'system')
class ReadingController {
  constructor(@Inject(CLOCK) private readonly clock: Clock) {}

  @Get('read')
  read(
    @ParsedQuery(listParametersSchema) query: ReadParameters & PageParameters,
    @CurrentPrincipal() who: Principal,
  ) {
    const { minPosition, ...request } = readRequest(query, who, this.clock);
    return {
      ...request,
      minPosition: minPosition && formatPosition(minPosition),
      limit: query.limit,
      cursor: query.cursor ?? null,
    };
  }

  @Get('summary')
  summary() {
    asked += 1;
    // Every reading is of another instant; the data's own asOf is data.
    return { meta: { asOf: `read-${asked}`, position: '1.1' }, data: { stuck, asOf: 'kept' } };
  }

  @Get('own-cache')
  @Header('cache-control', 'no-store')
  own() {
    return { own: true };
  }

  @Get('text')
  text(@Query('x') _x: string) {
    return 'plain';
  }
}

describe('reading', () => {
  let test: TestApp;
  let admin: { authorization: string };
  beforeAll(async () => {
    test = await createTestApp([ReadingController]);
    admin = await bearer();
  });
  afterAll(() => test.close());

  const get = (url: string, headers: Record<string, string> = {}) =>
    test.inject({ method: 'GET', url, headers: { ...admin, ...headers } });

  describe('the parameters of every read', () => {
    it('default to now, the live generation and the first 50', async () => {
      expect((await get('/read')).json()).toEqual({
        asOf: NOW,
        minPosition: null,
        generation: null,
        from: null,
        limit: 50,
        cursor: null,
      });
    });

    it('are read and normalised', async () => {
      const query =
        'asOf=2026-03-01T01:00:00%2B02:00&minPosition=12.7&limit=200&from=tenant-dashboard&cursor=abc';
      expect((await get(`/read?${query}`)).json()).toEqual({
        asOf: '2026-02-28T23:00:00.000Z',
        minPosition: '12.7',
        generation: null,
        from: 'tenant-dashboard',
        limit: 200,
        cursor: 'abc',
      });
    });

    it.each([
      'asOf=yesterday',
      'asOf=2026-13-01T00:00:00Z',
      'asOf=2025-02-30T00:00:00Z',
      'asOf=10000-01-01T00:00:00Z',
      'asOf=2026-01-01T00:00:00Z&asOf=2026-01-01T00:00:01Z',
      'minPosition=1',
      'limit=0',
      'limit=201',
      'from=A%20B',
    ])('refuse %s', async (query) => {
      const response = await get(`/read?${query}`);
      expect(response.statusCode).toBe(400);
      expect(response.json()).toMatchObject({ errors: [{ path: query.split('=')[0] }] });
    });

    it.each([
      ['0000-01-01T00:00:00%2B14:00', '1700-01-01T00:00:00.000Z'],
      ['1699-12-31T23:59:59Z', '1700-01-01T00:00:00.000Z'],
      ['2200-01-01T00:00:00Z', '2199-12-31T23:59:59.999999Z'],
      ['9999-12-31T23:59:59-14:00', '2199-12-31T23:59:59.999999Z'],
    ])('refused to look from as far as %s', async (asOf, nearest) => {
      const response = await get(`/read?asOf=${asOf}`);
      expect([response.statusCode, response.json<{ asOf: string }>().asOf]).toEqual([200, nearest]);
    });

    it('refused a link with the same instant in another spelling behind it', async () => {
      const query = 'asOf=2026-01-01T00%3A00%3A00.000Z&asOf=2026-01-01T01:00:00%2B01:00';
      expect((await get(`/read?${query}`)).statusCode).toBe(200);
    });

    it('had no word on which instants are taken', async () => {
      const words = 'an ISO 8601 instant with a zone';
      expect((await get('/read?asOf=yesterday')).json()).toMatchObject({
        errors: [{ path: 'asOf', message: expect.stringContaining(words) as string }],
      });
      const { paths } = (await get('/openapi.json')).json<OpenAPIObject>();
      expect(paths['/read']?.get?.parameters).toContainEqual(
        expect.objectContaining({
          name: 'asOf',
          schema: expect.objectContaining({
            format: 'date-time',
            description: expect.stringContaining(words) as string,
          }) as object,
        }),
      );
    });

    it("open historical generations to the system's plane only", async () => {
      expect((await get('/read?generation=3')).json()).toMatchObject({
        status: 403,
        code: 'wrong_plane',
        detail: 'the token is for the admin plane, ?generation= needs the system plane',
      });
      const system = await get('/read?generation=3', await bearer({ plane: 'system' }));
      expect(system.json()).toMatchObject({ generation: 3 });
    });
  });

  describe('the ETag', () => {
    beforeEach(() => (stuck = 0));

    it('stays while only the moment of reading changes', async () => {
      const [one, two] = [await get('/summary'), await get('/summary')];
      expect(one.body).not.toBe(two.body);
      expect(one.headers).toMatchObject({ 'cache-control': 'private, no-cache', vary: 'Authorization' });
      expect(one.headers.etag).toMatch(/^"[A-Za-z0-9_-]{27}"$/);
      expect(two.headers.etag).toBe(one.headers.etag);
    });

    it('changes when a run has crossed its deadline, though nothing was written', async () => {
      const before = await get('/summary');
      stuck = 1;
      const after = await get('/summary', { 'if-none-match': String(before.headers.etag) });
      expect(after.statusCode).toBe(200);
      expect(after.headers.etag).not.toBe(before.headers.etag);
    });

    it.each([
      ['itself', (tag: string) => tag],
      ['its weak form', (tag: string) => `W/${tag}`],
      ['a list', (tag: string) => `"other, with comma", ${tag}`],
      ['anything', () => '*'],
    ])('answers If-None-Match with %s by 304 and no body', async (_, header) => {
      const etag = String((await get('/summary')).headers.etag);
      const response = await get('/summary', { 'if-none-match': header(etag) });
      expect(response.statusCode).toBe(304);
      expect(response.body).toBe('');
      expect(response.headers).toMatchObject({
        etag,
        vary: 'Authorization',
        'cache-control': 'private, no-cache',
      });
      expect(response.headers['content-type']).toBeUndefined();
    });

    it.each(['"other"', 'garbage', '""'])('answers If-None-Match: %s in full', async (header) => {
      expect((await get('/summary', { 'if-none-match': header })).statusCode).toBe(200);
    });

    it('is the same for HEAD', async () => {
      const etag = (await get('/summary')).headers.etag;
      const head = await test.inject({ method: 'HEAD', url: '/summary', headers: admin });
      expect(head.headers.etag).toBe(etag);
      expect(head.body).toBe('');
    });

    it('leaves errors, texts and routes with a caching rule of their own alone', async () => {
      for (const url of ['/own-cache', '/text', '/nowhere', '/read?limit=0'])
        expect((await get(url, { 'if-none-match': '*' })).headers.etag).toBeUndefined();
      expect((await get('/own-cache')).headers['cache-control']).toBe('no-store');
    });
  });
});
