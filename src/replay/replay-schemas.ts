import { z } from 'zod';
import { LARGEST_INT } from '../db/largest-int';
import { PROBLEM_CLASSES } from '../domain/classification';
import { ACCEPTED_INSTANT } from '../events/instant';
import { UNSTORABLE_WORDS, isStorableJson } from '../events/storable-json';
import { describeInput } from '../http/json-schema';
import { single } from '../http/query-values';
import { asOfSchema } from '../http/read-request';
import { DEFAULT_MAX_CHANGE_PERCENT } from './cutover';
import { parseUntil } from './replay-requests';
import { replayStatusSchema } from './replay-status';
import { MAX_REASON_LENGTH } from './replays';
import { SAMPLES_PER_TRANSITION } from './transition-matrix';

/** Of a generation, and of a version of a policy or a classifier. */
export const numberedId = z.int().min(1).max(LARGEST_INT);
const words = z
  .string()
  .trim()
  .max(MAX_REASON_LENGTH)
  .refine((text) => isStorableJson(JSON.stringify(text)), `must not contain ${UNSTORABLE_WORDS}`);
/** What becomes of it, `reasonOf` says. */
export const reason = words
  .describe('Why, kept with what was done; nothing but blanks is no reason.')
  .optional();
/** Where nothing is done without one. */
export const neededReason = words.min(1);
const apply = z.boolean().default(false).describe('Do it. Without: only say what would be done.');
const candidate = {
  policyVersion: numberedId.optional().describe('Default: the one in force.'),
  classifierVersion: numberedId.optional().describe('Default: the one in force.'),
};

const untilText = z.string().describe(`Must be ${ACCEPTED_INSTANT}, or a position such as 123.4.`);
const until = describeInput(
  untilText.transform((text, context) => {
    const end = parseUntil(text);
    if (end) return end;
    context.addIssue(`must be ${ACCEPTED_INSTANT}, or a position such as 123.4`);
    return z.NEVER;
  }),
  untilText,
);

const full = z.boolean().default(false).describe('Read the log even where the run facts would do.');

export const planBody = z.strictObject({ ...candidate, full, asOf: asOfSchema.optional() });
export type PlanBody = z.infer<typeof planBody>;

export const startBody = z.strictObject({
  ...candidate,
  full,
  until: until.optional(),
  reason,
});
export type StartBody = z.infer<typeof startBody>;

export const cutoverBody = z.strictObject({
  apply,
  maxChangePercent: z.number().min(0).max(100).default(DEFAULT_MAX_CHANGE_PERCENT),
  force: z.boolean().default(false).describe('Whatever speaks against it; needs a reason.'),
  reason,
});
export type CutoverBody = z.infer<typeof cutoverBody>;

/** What loses nothing that cannot be had again is done when asked for, the way back from a bad cutover above all. */
const applyAtOnce = z.boolean().default(true).describe('False: only say what would be done.');

export const stepBody = z.strictObject({ apply: applyAtOnce, reason });
export type StepBody = z.infer<typeof stepBody>;

export const rollbackBody = z.strictObject({
  apply: applyAtOnce,
  from: numberedId
    .optional()
    .describe('The generation that is live, as a preview told: refused when another is by now.'),
  reason,
});
export type RollbackBody = z.infer<typeof rollbackBody>;

/** Ids in paths are digits; anything else names nothing that could be there. */
export const replayParams = z.strictObject({
  id: describeInput(
    z
      .string()
      .regex(/^[1-9]\d{0,8}$/, 'must be the number of a replay')
      .transform(Number),
    numberedId,
  ),
});
export type ReplayParams = z.infer<typeof replayParams>;

export const diffQuery = z.strictObject({ asOf: single(asOfSchema).optional() });
export type DiffQuery = z.infer<typeof diffQuery>;

const matrixClass = z.enum([...PROBLEM_CLASSES, 'absent']);
const transition = { workspaceId: z.string(), from: matrixClass, to: matrixClass };
const comparison = {
  asOf: z.string(),
  runs: z.int(),
  changed: z.int(),
  changedPercent: z.number(),
  matrix: z.array(z.object({ ...transition, runs: z.int() })),
  samples: z
    .array(z.object({ ...transition, runId: z.string(), because: z.string() }))
    .describe(`Of each change at most ${SAMPLES_PER_TRANSITION}, each with the first thing that differs.`),
};
const comparisonSchema = z.object(comparison).meta({ id: 'ReplayComparison' });

const planSchema = z
  .object({
    from: z.object({ generation: z.int(), classifierVersion: z.int(), policyVersion: z.int() }),
    to: z.object({ classifierVersion: z.int(), policyVersion: z.int() }),
    madeBy: z.enum(['facts', 'full']),
    eventsToRead: z.int(),
    runsToRead: z.int(),
    estimatedSeconds: z.number(),
    assumedPerSecond: z
      .number()
      .nullable()
      .describe('The rate of the estimate where no such build was measured on this database; else null.'),
    ...comparison,
  })
  .meta({ id: 'ReplayPlan' });

export const planAnswer = z.object({ data: planSchema });
export const statusAnswer = z.object({ data: replayStatusSchema });
export const listAnswer = z.object({ data: z.object({ replays: z.array(replayStatusSchema) }) });
export const diffAnswer = z.object({ data: comparisonSchema });
export const cutoverAnswer = z.object({
  data: z.object({
    applied: z.boolean(),
    from: z.int(),
    to: z.int(),
    objections: z.array(z.string()),
    comparison: comparisonSchema,
  }),
});
export const rollbackAnswer = z.object({
  data: z.object({
    applied: z.boolean(),
    from: z.int(),
    to: z.int(),
    warnings: z.array(z.string()).describe('What to know of the generation that is gone back to.'),
  }),
});
export const endingAnswer = z.object({
  data: z.object({ applied: z.boolean(), replay: replayStatusSchema }),
});
