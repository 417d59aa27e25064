import { Body, Param, Query } from '@nestjs/common';
import type { PipeTransform } from '@nestjs/common';
import { ApiBody, ApiParam, ApiQuery, ApiResponse } from '@nestjs/swagger';
import { z } from 'zod';
import { fieldErrors } from './as-problem';
import { inputWords } from './input-words';
import { fitsNothing, jsonSchemaOf } from './json-schema';
import type { JsonSchema } from './json-schema';
import { Problem } from './problem';
import { ParsesQuery } from './query.guard';

/** Parses what came in, or refuses with every issue at once. */
export class ZodPipe<T extends z.ZodType> implements PipeTransform<unknown, z.output<T>> {
  private readonly schema: z.ZodType;

  constructor(schema: T) {
    this.schema = strict(schema);
  }

  transform(value: unknown): z.output<T> {
    // zod passes over this one name, strict or not.
    if (typeof value === 'object' && value !== null && Object.hasOwn(value, '__proto__'))
      throw Problem.invalidRequest([{ path: '__proto__', message: 'unknown field' }]);
    // No body at all arrives as null or undefined: the issues of an empty object name what is missing.
    const parsed = this.schema.safeParse(value ?? {}, { error: inputWords });
    // `strict` changes what is refused, not what comes out.
    if (parsed.success) return parsed.data as z.output<T>;
    throw Problem.invalidRequest(fieldErrors(parsed.error));
  }
}

/** The JSON body, parsed by `schema` and documented by it. Unknown fields are refused. */
export const ParsedBody = (schema: z.ZodType): ParameterDecorator =>
  parameter(Body(new ZodPipe(schema)), ApiBody({ schema: jsonSchemaOf(schema, 'input') }));

/**
 * The query, parsed by `schema` and documented by it. Unknown parameters are refused, never ignored. One that is
 * described as `z.never()` is read so as to be refused in words of its own, and is not documented.
 */
export const ParsedQuery = (schema: z.ZodType): ParameterDecorator =>
  parameter(
    Query(new ZodPipe(schema)),
    ParsesQuery(),
    ...propertiesOf(schema)
      .filter(([, property]) => !fitsNothing(property))
      .map(([name, property, required]) => ApiQuery({ name, required, schema: property })),
  );

/** All path parameters, parsed by `schema` and documented by it. */
export const ParsedParams = (schema: z.ZodType): ParameterDecorator =>
  parameter(
    Param(new ZodPipe(schema)),
    ...propertiesOf(schema).map(([name, property]) => ApiParam({ name, schema: property })),
  );

/** Documents an answer's body by its schema. */
export const Answers = (
  schema: z.ZodType,
  { status = 200, description = 'Answered' } = {},
): MethodDecorator => ApiResponse({ status, description, schema: jsonSchemaOf(schema, 'output') });

/** A plain object schema drops what it does not know; at this edge that would ignore a filter somebody relies on. */
function strict(schema: z.ZodType): z.ZodType {
  return schema instanceof z.ZodObject && schema.def.catchall === undefined ? schema.strict() : schema;
}

function parameter(bind: ParameterDecorator, ...document: readonly MethodDecorator[]): ParameterDecorator {
  return (target, key, index) => {
    bind(target, key, index);
    if (key === undefined) return;
    const descriptor = Object.getOwnPropertyDescriptor(target, key);
    // Nest's decorators keep their metadata on the method itself, which exists before its parameters are decorated.
    if (descriptor) for (const decorate of document) decorate(target, key, descriptor);
  };
}

function propertiesOf(schema: z.ZodType): [name: string, schema: JsonSchema, required: boolean][] {
  const {
    properties = {},
    required = [],
    $defs,
  } = jsonSchemaOf(schema, 'input') as {
    properties?: Record<string, JsonSchema>;
    required?: string[];
    $defs?: JsonSchema;
  };
  return Object.entries(properties).map(([name, property]) => [
    name,
    $defs ? { ...property, $defs } : property,
    required.includes(name),
  ]);
}
