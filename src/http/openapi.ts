import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { DocumentBuilder, SwaggerModule } from '@nestjs/swagger';
import type { OpenAPIObject } from '@nestjs/swagger';
import { hoistDefinitions, jsonSchemaOf } from './json-schema';
import { problemBodySchema } from './problem';

const METHODS = ['get', 'put', 'post', 'delete', 'patch'] as const;

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
    .setDescription('One truth for every operations surface.')
    .setVersion('1')
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

type SchemaComponents = NonNullable<NonNullable<OpenAPIObject['components']>['schemas']>;

const SECURED = {
  401: 'No valid bearer token',
  403: 'Wrong plane, or a capability is missing',
};

const READING = {
  400: 'A parameter, a filter value or a cursor that cannot be read',
  404: 'Not there, or out of scope',
  503: '`minPosition` was not reached in time; Retry-After says when to ask again',
};

const COMMANDING = {
  400: 'A body or a header that cannot be read',
  404: 'Not there, or out of scope',
  409: 'Not in the present state; `allowedActions` and `currentVersion` say what is possible',
  412: 'The run is at another version than If-Match says',
  413: 'A body over the limit',
  422: 'A missing reason, or an Idempotency-Key used for another request',
};

function problemResponse(description: string) {
  return {
    description,
    content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
  };
}
