import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { Controller, Get, Post } from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { OpenAPIObject } from '@nestjs/swagger';
import { Test } from '@nestjs/testing';
import { z } from 'zod';
import { AppModule } from '../../src/app.module';
import { OnPlane } from '../../src/auth/auth.guard';
import type { SnapshotReader } from '../../src/db/snapshot-reader';
import { bucketSchema, envelopeOf } from '../../src/http/envelope';
import { Readiness } from '../../src/http/health.controller';
import { configureHttp, createHttpAdapter } from '../../src/http/http-app';
import { openApiDocument } from '../../src/http/openapi';
import { Answers, ParsedBody, ParsedParams, ParsedQuery } from '../../src/http/parsed';
import { many } from '../../src/http/query-values';
import { readParameters } from '../../src/http/read-request';
import { NestLogger, createLogger } from '../../src/observability/logger';
import { Metrics } from '../../src/observability/metrics';
import type { Runtime } from '../../src/runtime/runtime';
import { NOW, SECRET, bearer, createTestApp } from './test-app';
import type { TestApp } from './test-app';

const querySchema = z.strictObject({
  ...readParameters,
  status: many(z.enum(['queued', 'running']))
    .optional()
    .describe('Which.'),
});
const bodySchema = z.strictObject({ reason: z.string(), context: z.record(z.string(), z.json()).optional() });
const paramsSchema = z.strictObject({ runId: z.string() });

@Controller('admin/operations')
@OnPlane('admin')
class RunsController {
  @Get(':runId')
  @Answers(envelopeOf(z.object({ all: bucketSchema })))
  get(@ParsedParams(paramsSchema) params: { runId: string }, @ParsedQuery(querySchema) _query: object) {
    return params;
  }

  @Post(':runId/cancel')
  cancel(@ParsedParams(paramsSchema) params: { runId: string }, @ParsedBody(bodySchema) _body: object) {
    return params;
  }

  @Post('::batch')
  batch() {
    return {};
  }
}

type OperationObject = NonNullable<OpenAPIObject['paths'][string]['get']>;

interface Operation {
  parameters: { name: string; in: string; required: boolean; schema: object; description?: string }[];
  requestBody?: { content: Record<string, { schema: object }> };
  responses: Record<string, { content: Record<string, { schema: object }> }>;
  security?: object[];
}
interface Document {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, object>; securitySchemes: object };
}

let test: TestApp;
beforeAll(async () => {
  test = await createTestApp([RunsController]);
});
afterAll(() => test.close());

const get = (url: string) => test.inject({ method: 'GET', url });

describe('the API description', () => {
  let document: Document;
  beforeAll(async () => {
    document = (await get('/openapi.json')).json<Document>();
  });

  it('says how to authenticate, and what needs it', () => {
    expect(document.components.securitySchemes).toEqual({
      bearer: { scheme: 'bearer', bearerFormat: 'JWT', type: 'http' },
    });
    expect(document.paths['/admin/operations/{runId}']?.get?.security).toEqual([{ bearer: [] }]);
    expect(document.paths['/health/live']?.get?.security).toBeUndefined();
  });

  it('has each query parameter once, as its author meant it', () => {
    const { parameters = [] } = document.paths['/admin/operations/{runId}']?.get ?? {};
    expect(parameters.map(({ name, in: place, required }) => `${place} ${name} ${required}`).sort()).toEqual([
      'path runId true',
      'query asOf false',
      'query from false',
      'query minPosition false',
      'query status false',
    ]);
    expect(parameters.find(({ name }) => name === 'status')?.schema).toMatchObject({
      type: 'array',
      items: { type: 'string', enum: ['queued', 'running'] },
    });
  });

  it('has bodies, answers and problems, and every reference leads somewhere', () => {
    const cancel = document.paths['/admin/operations/{runId}/cancel']?.post;
    expect(cancel?.requestBody?.content['application/json']?.schema).toMatchObject({
      required: ['reason'],
      additionalProperties: false,
    });
    expect(cancel?.responses['401']?.content).toEqual({
      'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } },
    });
    const answer = document.paths['/admin/operations/{runId}']?.get?.responses['200'];
    expect(answer?.content['application/json']?.schema).toMatchObject({
      properties: { meta: { $ref: '#/components/schemas/Meta' } },
    });
    const text = JSON.stringify(document);
    expect(text).not.toContain('$defs');
    for (const [, name] of text.matchAll(/#\/components\/schemas\/([^"]+)"/g))
      expect(document.components.schemas).toHaveProperty(name!);
  });

  it('shows a literal colon as it is called', () => {
    expect(Object.keys(document.paths)).toContain('/admin/operations/:batch');
  });

  it('can be browsed', async () => {
    const page = await get('/docs');
    expect(page.statusCode).toBe(200);
    expect(page.headers['content-type']).toContain('text/html');
    const script = await get('/docs/swagger-ui-bundle.js');
    expect(script.statusCode).toBe(200);
    expect((await get('/docs/nothing-here.js')).json()).toMatchObject({ status: 404 });
  });
});

describe('the description of every route that is served', () => {
  let document: OpenAPIObject;
  let operations: [name: string, operation: OperationObject][];
  beforeAll(async () => {
    const app = await createDescribedApp();
    document = openApiDocument(app);
    await app.close();
    operations = Object.entries(document.paths).flatMap(([path, item]) =>
      (['get', 'post', 'put', 'patch', 'delete'] as const).flatMap((method) => {
        const operation = item[method];
        return operation ? [[`${method} ${path}`, operation] as [string, OperationObject]] : [];
      }),
    );
  });

  const namesOf = ({ parameters = [] }: OperationObject) =>
    parameters.map((parameter) => ('name' in parameter ? parameter.name : ''));
  const taking = (name: string) =>
    operations.filter(([, operation]) => namesOf(operation).includes(name)).map(([route]) => route);

  it('has the routes of every module', () => {
    expect(operations.map(([route]) => route)).toEqual(
      expect.arrayContaining([
        'get /health/live',
        'get /admin/operations',
        'post /operation-runs:batch',
        'post /system/projections/replays:plan',
        'get /system/projections/policies',
      ]),
    );
  });

  it('has a short summary of each operation, and whole sentences beyond that', () => {
    for (const [route, { summary = '', description = 'None.' }] of operations)
      expect([route, summary, description]).toEqual([
        route,
        expect.stringMatching(/^[A-Z].{3,68}[^.]$/),
        expect.stringMatching(/^[^]+\.$/),
      ]);
  });

  it("names a generation to read on the system's plane only", () => {
    const routes = taking('generation');
    expect(routes).toEqual(
      expect.arrayContaining([
        'get /system/ops/runs/{runId}',
        'get /system/ops/notifications',
        'get /system/ops/summary',
        'get /system/ops/runs',
        'get /system/ops/failures',
        'get /system/ops/stuck',
        'get /system/projections/parked',
      ]),
    );
    expect(routes.filter((route) => !route.startsWith('get /system/'))).toEqual([]);
  });

  it('takes If-Match, and answers 412, for commands on one run only', () => {
    const routes = taking('If-Match');
    expect(routes).toContain('post /operation-runs/{runId}/start');
    expect(routes).not.toContain('post /operation-runs:batch');
    expect(taking('Idempotency-Key')).toContain('post /operation-runs:batch');
    const mismatching = operations.filter(([, { responses }]) => '412' in responses);
    expect(mismatching.map(([route]) => route)).toEqual(routes);
  });

  it('names the capabilities that a token needs', () => {
    const batch = document.paths['/operation-runs:batch']?.post;
    expect(batch).toMatchObject({
      'x-capabilities': ['runs.write', 'runs.triage'],
      responses: { 403: { description: 'Wrong plane, or a token without runs.write or runs.triage' } },
    });
    expect(document.paths['/admin/operations']?.get?.responses[403]).toMatchObject({
      description: 'Wrong plane',
    });
  });

  it('is of the version of the package', () => {
    const text = readFileSync(join(__dirname, '../../package.json'), 'utf8');
    expect(document.info.version).toBe((JSON.parse(text) as { version: string }).version);
  });
});

/** All controllers, as a process with the api role has them, over nothing: they are described and never called. */
async function createDescribedApp(): Promise<NestFastifyApplication> {
  const config = { roles: new Set(['api']), auth: { kind: 'secret', secret: SECRET } };
  const runtime = { config, clock: { now: () => NOW }, pool: {}, store: {}, live: {} };
  const module = AppModule.of(runtime as unknown as Runtime, {} as SnapshotReader);
  const logger = createLogger({ level: 'error' }, new PassThrough());
  const testing = await Test.createTestingModule({ imports: [module] }).compile();
  const app = testing.createNestApplication<NestFastifyApplication>(createHttpAdapter(logger), {
    bodyParser: false,
    logger: new NestLogger(logger),
  });
  configureHttp(app);
  return app.init();
}

describe('health', () => {
  it('is live without a token', async () => {
    expect((await get('/health/live')).json()).toEqual({ status: 'live' });
  });

  it('is ready when every probe is, and says which is not', async () => {
    const readiness = test.app.get(Readiness);
    const answer: { ok: boolean; detail: object } = { ok: true, detail: { lagMs: 5 } };
    readiness.add({ name: 'projector', check: () => Promise.resolve(answer) });
    const ready = await get('/health/ready');
    expect(ready.statusCode).toBe(200);
    expect(ready.headers['cache-control']).toBe('no-store');
    expect(ready.json()).toEqual({
      status: 'ready',
      failed: [],
      checks: { projector: { ok: true, detail: { lagMs: 5 } } },
    });

    readiness.add(
      { name: 'database', check: () => Promise.reject(new Error('password hunter2')) },
      { name: 'log', check: () => new Promise(() => undefined), timeoutMs: 20 },
    );
    const failing = await get('/health/ready');
    expect(failing.statusCode).toBe(503);
    expect(failing.json()).toMatchObject({
      status: 'not_ready',
      failed: ['database', 'log'],
      checks: { projector: { ok: true }, log: { ok: false, detail: { error: 'no answer within 20 ms' } } },
    });
    expect(failing.body).not.toContain('hunter2');
  });
});

describe('metrics', () => {
  it('measure requests by route pattern, not by path', async () => {
    const headers = await bearer();
    await test.inject({ method: 'GET', url: '/admin/operations/r-1', headers });
    await get('/nowhere/at/all');
    const { body, headers: answered } = await get('/metrics');
    expect(answered['content-type']).toContain('text/plain');
    expect(body).toContain(
      'http_request_duration_seconds_count{method="GET",route="/admin/operations/:runId",status="200"} 1',
    );
    expect(body).toContain('route="unmatched",status="404"');
    expect(body).not.toContain('r-1');
    expect(body).toContain('process_cpu_user_seconds_total');
  });

  it('take gauges of others, and survive one that cannot say its number', async () => {
    const metrics = test.app.get(Metrics);
    metrics.gauge('projector_lag_seconds', 'Behind the log', { collect: (gauge) => gauge.set(3) });
    metrics.gauge('broken', 'Broken', { collect: () => Promise.reject(new Error('no database')) });
    metrics.counter('parked_total', 'Parked', ['surface']).inc({ surface: 'x' });
    const { statusCode, body } = await get('/metrics');
    expect(statusCode).toBe(200);
    expect(body).toContain('projector_lag_seconds 3');
    expect(body).toContain('parked_total{surface="x"} 1');
  });
});

describe('the log', () => {
  it('has one line per request, with the run it was about', async () => {
    const headers = { ...(await bearer()), 'x-request-id': 'trace-9' };
    await test.inject({ method: 'GET', url: '/admin/operations/run%2F9?from=x', headers });
    const lines = test.log().filter(({ reqId }) => reqId === 'trace-9');
    expect(lines).toEqual([
      expect.objectContaining({
        level: 'info',
        msg: 'request answered',
        method: 'GET',
        path: '/admin/operations/run%2F9',
        route: '/admin/operations/:runId',
        runId: 'run/9',
        status: 200,
        durationMs: expect.any(Number) as number,
      }),
    ]);
  });

  it('takes in what Nest says', () => {
    const started = test.log().find(({ context }) => context === 'RouterExplorer');
    expect(started).toMatchObject({ level: 'debug' });
  });
});
