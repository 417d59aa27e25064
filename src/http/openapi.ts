import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { ApiResponse, DocumentBuilder, SwaggerModule } from '@nestjs/swagger';
import type { OpenAPIObject } from '@nestjs/swagger';
import { CAPABILITIES_EXTENSION } from '../auth/auth.guard';
import { packageVersion } from '../tools/package-folder';
import { hoistDefinitions, jsonSchemaOf } from './json-schema';
import { problemBodySchema } from './problem';

const METHODS = ['get', 'put', 'post', 'delete', 'patch'] as const;

const DESCRIPTION = [
  'One truth for every operations surface.',
  'Reads of runs answer `{meta, data, page?}`: `meta` says as of when, up to which position and by which rules. ' +
    'Each has an ETag.',
  'Commands answer a `position`; a read of runs that is given it as `minPosition` waits until it shows it.',
  'Tokens of the admin plane open nothing under `/system`, tokens of the system plane nothing else; what is out of a ' +
    "token's scope is not there (404).",
].join('\n\n');

/** The API's description at `/openapi.json`, to be browsed at `/docs`. Both are public: they hold no data. */
export function serveOpenApi(app: NestFastifyApplication): void {
  SwaggerModule.setup('docs', app, () => openApiDocument(app), {
    jsonDocumentUrl: 'openapi.json',
    raw: ['json'],
    customSiteTitle: 'opstruth API',
  });
}

export function openApiDocument(app: NestFastifyApplication): OpenAPIObject {
  const description = new DocumentBuilder()
    .setOpenAPIVersion('3.1.0')
    .setTitle('opstruth')
    .setDescription(DESCRIPTION)
    .setVersion(packageVersion())
    .addBearerAuth()
    .build();
  const document = SwaggerModule.createDocument(app, description, {
    operationIdFactory: (controller, method) => `${controller.replace(/Controller$/, '')}_${method}`,
  });
  for (const path of Object.values(document.paths))
    for (const method of METHODS) {
      const operation = path[method];
      if (!operation) continue;
      const refusals = {
        default: 'Refused',
        ...(operation.security && { ...SECURED, ...(method === 'get' ? READING : COMMANDING) }),
        ...lackingCapability(operation),
        ...(takes(operation, 'minPosition') && BEHIND),
        ...(takes(operation, 'If-Match') && OTHER_VERSION),
      };
      if (operation.security && method === 'get')
        operation.responses[304] ??= {
          description: 'Not modified: If-None-Match holds the ETag of this answer',
        };
      for (const [status, words] of Object.entries(refusals))
        operation.responses[status] ??= problemResponse(words);
    }
  const schemas: Record<string, unknown> = { Problem: jsonSchemaOf(problemBodySchema, 'output') };
  const { components, ...rest } = document;
  // Hoisting moves definitions and changes nothing else about the document.
  const hoisted = hoistDefinitions(rest, schemas) as Omit<OpenAPIObject, 'components'>;
  return {
    ...hoisted,
    components: { ...components, schemas: { ...components?.schemas, ...schemas } as SchemaComponents },
  };
}

type OperationObject = NonNullable<OpenAPIObject['paths'][string]['get']>;
type SchemaComponents = NonNullable<NonNullable<OpenAPIObject['components']>['schemas']>;

const SECURED = {
  401: 'No valid bearer token',
  403: 'Wrong plane',
};

const READING = {
  400: 'A parameter, a filter value or a cursor that cannot be read',
  404: 'Not there, or out of scope',
};

const BEHIND = { 503: '`minPosition` was not reached in time; Retry-After says when to ask again' };

const COMMANDING = {
  400: 'A body or a header that cannot be read',
  404: 'Not there, or out of scope',
  409: 'Not in the present state; `allowedActions` and `currentVersion` say what is possible',
  413: 'A body over the limit',
  415: 'A body that is not application/json',
  422: 'A missing reason, or an Idempotency-Key used for another request',
};

const OTHER_VERSION = { 412: 'The run is at another version than If-Match says' };

/** Documents a refusal that only this operation has. */
export const Refuses = (status: number, words: string): MethodDecorator =>
  ApiResponse({ status, ...problemResponse(words) });

function lackingCapability(operation: object): Record<number, string> {
  const needed = (operation as { [CAPABILITIES_EXTENSION]?: readonly string[] })[CAPABILITIES_EXTENSION];
  return needed ? { 403: `Wrong plane, or a token without ${needed.join(' or ')}` } : {};
}

function takes({ parameters = [] }: OperationObject, name: string): boolean {
  return parameters.some((parameter) => 'name' in parameter && parameter.name === name);
}

function problemResponse(description: string) {
  return {
    description,
    content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
  };
}
