import { Controller, Get } from '@nestjs/common';
import { ApiOperation } from '@nestjs/swagger';
import { z } from 'zod';
import { CurrentPrincipal, OnPlane } from '../../src/auth/auth.guard';
import type { Principal } from '../../src/auth/principal';
import { envelopeOf } from '../../src/http/envelope';
import { Answers, ParsedParams, ParsedQuery } from '../../src/http/parsed';
import { readParametersSchema } from '../../src/http/read-request';
import type { ReadParameters } from '../../src/http/read-request';
import { RunViews, workspacePath } from '../../src/http/run-view';
import type { Place } from '../../src/http/run-view';
import { bucketsOf, bucketsSchema, SUMMARY_DESCRIPTION, sumOf, summarySchema } from '../../src/http/summary';
import { ATTENTION_DESCRIPTION, attentionOf, attentionSchema } from '../../src/http/summary-attention';
import { countsByTenant } from './workspace-overview.query';
import { workspaceOverview } from './workspace-overview.surface';

const overviewSchema = summarySchema.extend({
  /** `tenantId` null: the workspace's own runs, which belong to no tenant. All of them add up to `buckets`. */
  tenants: z.array(z.object({ tenantId: z.string().nullable(), buckets: bucketsSchema })),
});

@OnPlane('admin')
@Controller('workspaces/:workspaceId/operations')
export class WorkspaceOverviewController {
  constructor(private readonly views: RunViews) {}

  @Get('summary')
  @ApiOperation({
    summary: "Counts of a workspace's runs, and of each tenant's",
    description: SUMMARY_DESCRIPTION,
  })
  @Answers(envelopeOf(overviewSchema))
  async summary(
    @ParsedParams(workspacePath) place: Place,
    @ParsedQuery(readParametersSchema) query: ReadParameters,
    @CurrentPrincipal() principal: Principal,
  ) {
    const view = this.views.open({ surface: workspaceOverview.name, query, principal, place });
    const { meta, tenants } = await countsByTenant(view);
    return {
      meta,
      data: {
        buckets: bucketsOf(sumOf(tenants.map((tenant) => tenant.counts)), (filter) => view.href(filter)),
        tenants: tenants.map(({ place: tenantId, counts }) => ({
          tenantId,
          buckets: bucketsOf(counts, (filter) => view.href({ ...filter, tenant: [tenantId ?? ''] })),
        })),
      },
    };
  }

  @Get('attention')
  @ApiOperation({
    summary: 'Problem classes that need somebody in a workspace',
    description: ATTENTION_DESCRIPTION,
  })
  @Answers(envelopeOf(attentionSchema))
  async attention(
    @ParsedParams(workspacePath) place: Place,
    @ParsedQuery(readParametersSchema) query: ReadParameters,
    @CurrentPrincipal() principal: Principal,
  ) {
    const view = this.views.open({ surface: workspaceOverview.name, query, principal, place });
    const { meta, tenants } = await countsByTenant(view);
    const counts = sumOf(tenants.map((tenant) => tenant.counts));
    return { meta, data: attentionOf(counts, (filter) => view.href(filter)) };
  }
}
