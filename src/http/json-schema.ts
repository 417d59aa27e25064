import { createHash } from 'node:crypto';
import { z } from 'zod';

export type JsonSchema = Record<string, unknown>;

/** What stands in the documents for a schema whose own input side says less than its author knows. */
const described = new WeakMap<object, z.ZodType>();

/** Documents `schema` by `description` wherever it is an input. Parsing is untouched. */
export function describeInput<T extends z.ZodType>(schema: T, description: z.ZodType): T {
  described.set(schema, description);
  return schema;
}

/** Whether no value fits: that of `z.never()`. */
export function fitsNothing({ not }: JsonSchema): boolean {
  return typeof not === 'object' && not !== null && Object.keys(not).length === 0;
}

/**
 * The JSON Schema (2020-12, as OpenAPI 3.1 has it) of what a schema takes (`input`) or gives (`output`). Named and
 * recursive parts stand under `$defs`; `hoistDefinitions` gives them a place in a document.
 */
export function jsonSchemaOf(schema: z.ZodType, io: 'input' | 'output'): JsonSchema {
  const document: JsonSchema = z.toJSONSchema(schema, {
    io,
    unrepresentable: 'any',
    override: ({ zodSchema, jsonSchema }) => {
      const description = io === 'input' ? described.get(zodSchema) : undefined;
      if (!description) return;
      for (const key of Object.keys(jsonSchema)) delete jsonSchema[key];
      Object.assign(jsonSchema, jsonSchemaOf(description, io));
    },
  });
  delete document.$schema;
  return document;
}

/** Moves every `$defs` below `value` into `components`, and points the references there. */
export function hoistDefinitions(value: unknown, components: Record<string, unknown>): unknown {
  if (Array.isArray(value)) return value.map((one) => hoistDefinitions(one, components));
  if (typeof value !== 'object' || value === null) return value;
  const { $defs, ...rest } = value as JsonSchema;
  const definitions = Object.entries($defs ?? {});
  const names = new Map(definitions.map(([name, definition]) => [name, nameFor(name, definition)]));
  for (const [name, definition] of definitions)
    components[names.get(name)!] = hoistDefinitions(pointTo(definition, names), components);
  return Object.fromEntries(
    Object.entries(rest).map(([key, one]) => [key, hoistDefinitions(pointTo(one, names), components)]),
  );
}

/** zod numbers what has no name (`__schema0`) afresh in each schema, so these are named by their content. */
function nameFor(name: string, definition: unknown): string {
  if (!name.startsWith('__')) return name;
  return `Part_${createHash('sha256').update(JSON.stringify(definition)).digest('hex').slice(0, 8)}`;
}

function pointTo(value: unknown, names: ReadonlyMap<string, string>): unknown {
  if (names.size === 0) return value;
  if (Array.isArray(value)) return value.map((one) => pointTo(one, names));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, one]) => {
      const name =
        key === '$ref' && typeof one === 'string' ? names.get(one.replace('#/$defs/', '')) : undefined;
      return [key, name === undefined ? pointTo(one, names) : `#/components/schemas/${name}`];
    }),
  );
}
