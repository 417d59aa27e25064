import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { idSchema, instantSchema, TERMINAL_OUTCOMES } from '../events/operation-run-events';
import { ImportError } from './import-error';

export const MAPPING_FILE = 'mapping.json';

const name = z.string().min(1);
const columnList = z.array(name);
const code = z.string();

const timeSchema = z.discriminatedUnion(
  'kind',
  [
    z.strictObject({ kind: z.literal('microseconds'), column: z.exactOptional(name), epoch: instantSchema }),
    z.strictObject({
      kind: z.literal('iso8601'),
      column: z.exactOptional(name),
      assume: z.literal('UTC').default('UTC'),
    }),
  ],
  { error: 'must have the kind "microseconds" or "iso8601"' },
);

const globSchema = z
  .string()
  .min(1)
  .refine((glob) => !glob.startsWith('/') && !glob.split('/').includes('..'), 'must stay inside the folder');

const sharedFields = {
  dataset: idSchema.max(100),
  files: z.array(globSchema).min(1),
  delimiter: z
    .string()
    .min(1)
    .refine((text) => !/[\r\n]/.test(text), 'must not contain a line break'),
  columns: columnList.min(1),
  time: timeSchema,
  run_id: columnList.min(1),
  workspace: columnList.min(1),
  tenant: columnList.default([]),
  operation_type: columnList.min(1),
  initiator: columnList.default([]),
};

const eventRowsSchema = z.strictObject({
  ...sharedFields,
  layout: z.literal('event-rows'),
  event: z.strictObject({
    column: name,
    queued: z.array(code).min(1),
    started: z.array(code).default([]),
    ignored: z.array(code).default([]),
    outcomes: z.record(code, z.enum(TERMINAL_OUTCOMES)),
    reconciled: z.array(code).default([]),
  }),
  heartbeats: z.exactOptional(
    z.strictObject({
      files: z.array(globSchema).min(1),
      columns: columnList.min(1),
      run_id: columnList.min(1),
    }),
  ),
});

const runRowsSchema = z.strictObject({
  ...sharedFields,
  layout: z.literal('run-rows'),
  queued: name,
  started: z.exactOptional(name),
  completed: name,
  never_started: z.exactOptional(z.strictObject({ column: name, values: z.array(z.string()).min(1) })),
  outcome: z.strictObject({
    column: name,
    cut_at: z.exactOptional(z.string().min(1)),
    map: z.record(z.string(), z.enum(TERMINAL_OUTCOMES)),
  }),
});

const mappingSchema = z.discriminatedUnion('layout', [eventRowsSchema, runRowsSchema], {
  error: 'must have the layout "event-rows" or "run-rows"',
});

export type ImportMapping = z.infer<typeof mappingSchema>;
export type EventRowsMapping = z.infer<typeof eventRowsSchema>;
export type RunRowsMapping = z.infer<typeof runRowsSchema>;

/** A mapping that cannot be used. Lists every problem, each with the path of the field at fault. */
export class MappingError extends ImportError {
  constructor(
    readonly problems: readonly string[],
    source: string,
  ) {
    super(`${source} cannot be used:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
  }
}

/** The mapping of a folder. Throws ImportError when there is none, MappingError with every problem at once. */
export async function readMapping(dir: string): Promise<ImportMapping> {
  const path = join(dir, MAPPING_FILE);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    throw new ImportError(`cannot read ${path}: an import folder holds raw files and a ${MAPPING_FILE}`, {
      cause,
    });
  }
  let json: unknown;
  try {
    json = JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch (cause) {
    throw new ImportError(`${path} is not JSON: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
  }
  return parseMapping(json, path);
}

export function parseMapping(json: unknown, source = MAPPING_FILE): ImportMapping {
  const parsed = mappingSchema.safeParse(json);
  if (!parsed.success)
    throw new MappingError(
      parsed.error.issues.map((issue) => `${issue.path.join('.') || '(document)'}: ${issue.message}`),
      source,
    );
  const problems = [...columnProblems(parsed.data), ...codeProblems(parsed.data)];
  if (problems.length > 0) throw new MappingError(problems, source);
  return parsed.data;
}

function columnProblems(mapping: ImportMapping): string[] {
  const problems = repeated(mapping.columns, 'columns');
  const check = (path: string, named: string | undefined, columns = mapping.columns) => {
    if (named !== undefined && !columns.includes(named))
      problems.push(`${path}: no column is named ${JSON.stringify(named)}; there are ${columns.join(', ')}`);
  };
  const checkAll = (path: string, list: readonly string[], columns = mapping.columns) =>
    list.forEach((named, index) => check(`${path}.${index}`, named, columns));

  for (const field of ['run_id', 'workspace', 'tenant', 'operation_type', 'initiator'] as const)
    checkAll(field, mapping[field]);
  check('time.column', mapping.time.column);
  switch (mapping.layout) {
    case 'event-rows': {
      if (mapping.time.column === undefined)
        problems.push('time.column: event-rows need the column of their time');
      check('event.column', mapping.event.column);
      const { heartbeats } = mapping;
      if (!heartbeats) break;
      problems.push(...repeated(heartbeats.columns, 'heartbeats.columns'));
      checkAll('heartbeats.run_id', heartbeats.run_id, heartbeats.columns);
      // A heartbeat's time stands in the column of the same name.
      check('heartbeats.columns', mapping.time.column, heartbeats.columns);
      break;
    }
    case 'run-rows':
      check('queued', mapping.queued);
      check('started', mapping.started);
      check('completed', mapping.completed);
      check('never_started.column', mapping.never_started?.column);
      check('outcome.column', mapping.outcome.column);
  }
  return problems;
}

function repeated(columns: readonly string[], path: string): string[] {
  return columns.flatMap((column, index) =>
    columns.indexOf(column) < index ? [`${path}.${index}: ${JSON.stringify(column)} is named twice`] : [],
  );
}

/** A code must mean one thing. */
function codeProblems(mapping: ImportMapping): string[] {
  if (mapping.layout !== 'event-rows') return [];
  const { queued, started, ignored, outcomes, reconciled } = mapping.event;
  const problems = reconciled
    .filter((each) => !Object.hasOwn(outcomes, each))
    .map((each) => `event.reconciled: ${JSON.stringify(each)} has no outcome in event.outcomes`);
  const meanings = new Map<string, string>();
  for (const [meaning, codes] of Object.entries({
    queued,
    started,
    ignored,
    outcomes: Object.keys(outcomes),
  }))
    for (const each of codes) {
      const other = meanings.get(each);
      if (other !== undefined)
        problems.push(`event.${meaning}: ${JSON.stringify(each)} is also in event.${other}`);
      meanings.set(each, meaning);
    }
  return problems;
}
