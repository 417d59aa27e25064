import { Controller, Get, Inject, Post, Res } from '@nestjs/common';
import { ApiOperation } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { CurrentPrincipal, NeedsCapability, OnPlane } from '../auth/auth.guard';
import type { Principal } from '../auth/principal';
import { parsePolicy, PolicyError, policyFileSchema } from '../classifier/policy';
import { policyChanges } from '../classifier/policy-changes';
import { describeInput } from '../http/json-schema';
import { Answers, ParsedBody, ParsedParams, ParsedQuery } from '../http/parsed';
import { single } from '../http/query-values';
import { Problem } from '../http/problem';
import { liveGeneration } from '../projector/generations';
import { listPolicies } from '../projector/policies';
import { OPERATOR_CONTEXT } from './operator-context';
import type { OperatorContext } from './operator-context';
import { proposePolicy } from './propose-policy';
import { reason } from './replay-schemas';

const entry = {
  version: z.int(),
  inForce: z.boolean(),
  createdAt: z.string(),
  createdBy: z.string(),
  reason: z.string().nullable(),
};
const listSchema = z.object({ policies: z.array(z.object(entry)) });
const policySchema = z.object({ ...entry, policy: policyFileSchema });
const proposedSchema = z.object({ version: z.int(), added: z.boolean(), warnings: z.array(z.string()) });

const leaf = z.union([z.string(), z.number(), z.boolean(), z.null()]).optional();
const changesSchema = z.object({
  from: z.int(),
  to: z.int(),
  changes: z.array(
    z.object({
      field: z.string(),
      from: leaf.describe('Absent where the version does not have the field.'),
      to: leaf,
    }),
  ),
});

const version = describeInput(
  z
    .string()
    .regex(/^[1-9]\d{0,8}$/, 'must be the number of a version')
    .transform(Number),
  z.int().min(1),
);
const versionParams = z.strictObject({ version });
const diffQuery = z.strictObject({ from: single(version).optional() });

/** Parsed by the reader of policy files, whose words name every field at fault. */
const policy = describeInput(
  z.unknown().transform((document, context) => {
    try {
      return parsePolicy(document);
    } catch (error) {
      if (!(error instanceof PolicyError)) throw error;
      for (const problem of error.problems) context.addIssue(problem);
      return z.NEVER;
    }
  }),
  policyFileSchema,
);
const proposeBody = z.strictObject({ policy, reason });

/** Policies: immutable versions. One is in force once a generation built with it is live. */
@OnPlane('system')
@Controller('system/projections/policies')
export class PoliciesController {
  constructor(@Inject(OPERATOR_CONTEXT) private readonly context: OperatorContext) {}

  @Get()
  @ApiOperation({ summary: 'Policy versions, and which one is in force' })
  @Answers(z.object({ data: listSchema }))
  async list() {
    const policies = (await this.records()).map(({ policy: _document, ...rest }) => rest);
    return { data: { policies } };
  }

  @Get(':version')
  @ApiOperation({ summary: 'One policy version, whole' })
  @Answers(z.object({ data: policySchema }))
  async show(@ParsedParams(versionParams) { version }: z.infer<typeof versionParams>) {
    const record = (await this.records()).find((one) => one.version === version);
    if (!record) throw Problem.notFound(`there is no policy version ${version}`);
    return { data: record };
  }

  @Get(':version/diff')
  @ApiOperation({
    summary: 'What differs between two policy versions',
    description:
      'Field by field as it is in effect, from version `from` (default: the one in force) to this one: what a type leaves ' +
      'to the defaults is theirs.',
  })
  @Answers(z.object({ data: changesSchema }))
  async diff(
    @ParsedParams(versionParams) { version }: z.infer<typeof versionParams>,
    @ParsedQuery(diffQuery) query: z.infer<typeof diffQuery>,
  ) {
    const records = await this.records();
    const found = (wanted: number) => {
      const record = records.find((one) => one.version === wanted);
      if (!record) throw Problem.notFound(`there is no policy version ${wanted}`);
      return record;
    };
    const from = query.from === undefined ? records.find(({ inForce }) => inForce) : found(query.from);
    if (!from) throw Problem.notFound('no policy is in force yet');
    const to = found(version);
    return { data: { from: from.version, to: version, changes: policyChanges(from.policy, to.policy) } };
  }

  /** 201 for a new version, 200 when the same policy was there already. */
  @Post()
  @ApiOperation({
    summary: 'Keep a policy as a new version',
    description:
      'Acts at once and changes no class: a policy is in force once a replay built with it is cut over. The ' +
      'same policy again answers the version that it has (200).',
  })
  @NeedsCapability('projections.operate')
  @Answers(z.object({ data: proposedSchema }), { status: 201, description: 'Kept as a new version' })
  @Answers(z.object({ data: proposedSchema }), { description: 'There already, under this version' })
  async propose(
    @ParsedBody(proposeBody) { policy: proposed, reason: why }: z.infer<typeof proposeBody>,
    @CurrentPrincipal() { subject }: Principal,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    const operator = { actor: subject, reason: why ?? null };
    const result = await proposePolicy(this.context.pool, proposed, operator);
    void reply.code(result.added ? 201 : 200);
    return { data: result };
  }

  private async records() {
    const live = await liveGeneration(this.context.pool);
    const records = await listPolicies(this.context.pool);
    return records.map((record) => ({ ...record, inForce: record.version === live?.policyVersion }));
  }
}
