import { Controller, HttpCode, Inject, Post, UseInterceptors } from '@nestjs/common';
import { ApiOperation } from '@nestjs/swagger';
import { z } from 'zod';
import { NeedsCapability, OnPlane } from '../auth/auth.guard';
import { Answers, ParsedBody } from '../http/parsed';
import { asOfSchema } from '../http/read-request';
import { OPERATOR_CONTEXT } from './operator-context';
import type { OperatorContext } from './operator-context';
import { ReplayRefusals } from './replay-refusals';
import { numberedId } from './replay-schemas';
import { auditRuns, auditTables, DEFAULT_SAMPLE } from './run-audit';

/** Larger samples take minutes: they are for `opstruth audit`. */
const MAX_SAMPLE = 5_000;

const auditBody = z.strictObject({
  surfaces: z
    .boolean()
    .default(false)
    .describe('Every table against the run facts, in place of runs against the log.'),
  sample: z
    .int()
    .min(1)
    .max(MAX_SAMPLE)
    .default(DEFAULT_SAMPLE)
    .describe('Random runs to fold anew from their first event on; without `surfaces`.'),
  asOf: asOfSchema
    .optional()
    .describe('With `surfaces`: the instant at which buckets and lists are compared (default: now).'),
  generation: numberedId
    .optional()
    .describe(
      'Default: the live one. Any other that is ready or a standby, as before a cutover or a rollback.',
    ),
});

const differenceSchema = z.object({
  runId: z.string().nullable().describe('Null where many runs are counted together: `cell` says which.'),
  cell: z.record(z.string(), z.unknown()).optional(),
  table: z.string(),
  column: z.string().describe('`(row)` where a whole row is missing or too many.'),
  stored: z.unknown(),
  expected: z.unknown(),
});

const reportSchema = z
  .object({
    generation: z.int(),
    position: z.string(),
    runs: z.int(),
    differences: z.int(),
    found: z.array(differenceSchema).describe('The first of them.'),
    asOf: z.string().optional(),
    tables: z.int().optional(),
  })
  .meta({ id: 'AuditReport' });

/** Whether the rows say what the log does, asked for by an operator; a background role looks at a few runs by itself. */
@OnPlane('system')
@UseInterceptors(ReplayRefusals)
@Controller('system/projections/audits')
export class AuditsController {
  constructor(@Inject(OPERATOR_CONTEXT) private readonly context: OperatorContext) {}

  @Post()
  @ApiOperation({
    summary: 'Compare rows of a generation with the log',
    description:
      'Folds random runs anew and compares every row of theirs; with `surfaces` compares whole tables with the run facts, ' +
      'and buckets with their lists, which reads every table once. Changes nothing; what was found is kept in status and metrics.',
  })
  @HttpCode(200)
  @NeedsCapability('projections.operate')
  @Answers(z.object({ data: reportSchema }))
  async audit(@ParsedBody(auditBody) { surfaces, sample, asOf, generation }: z.infer<typeof auditBody>) {
    const { clock } = this.context;
    const report = surfaces
      ? await auditTables(this.context, { generation, asOf: asOf ?? clock.now() })
      : await auditRuns(this.context, { generation, sample });
    return { data: report };
  }
}
