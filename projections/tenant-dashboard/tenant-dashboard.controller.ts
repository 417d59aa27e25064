import { Controller, Get } from '@nestjs/common';
import { ApiOperation } from '@nestjs/swagger';
import { CurrentPrincipal, OnPlane } from '../../src/auth/auth.guard';
import type { Principal } from '../../src/auth/principal';
import { envelopeOf } from '../../src/http/envelope';
import { Answers, ParsedParams, ParsedQuery } from '../../src/http/parsed';
import { readParametersSchema } from '../../src/http/read-request';
import type { ReadParameters } from '../../src/http/read-request';
import { RunViews, tenantPath } from '../../src/http/run-view';
import type { Place } from '../../src/http/run-view';
import { bucketsOf, SUMMARY_DESCRIPTION, summarySchema } from '../../src/http/summary';
import { ATTENTION_DESCRIPTION, attentionOf, attentionSchema } from '../../src/http/summary-attention';
import { tenantCounts } from './tenant-dashboard.query';
import { tenantDashboard } from './tenant-dashboard.surface';

@OnPlane('admin')
@Controller('workspaces/:workspaceId/tenants/:tenantId/operations')
export class TenantDashboardController {
  constructor(private readonly views: RunViews) {}

  @Get('summary')
  @ApiOperation({ summary: "Counts of a tenant's runs", description: SUMMARY_DESCRIPTION })
  @Answers(envelopeOf(summarySchema))
  async summary(
    @ParsedParams(tenantPath) place: Place,
    @ParsedQuery(readParametersSchema) query: ReadParameters,
    @CurrentPrincipal() principal: Principal,
  ) {
    const view = this.views.open({ surface: tenantDashboard.name, query, principal, place });
    const { meta, counts } = await tenantCounts(view);
    return { meta, data: { buckets: bucketsOf(counts, (filter) => view.href(filter)) } };
  }

  @Get('attention')
  @ApiOperation({
    summary: 'Problem classes that need somebody in a tenant',
    description: ATTENTION_DESCRIPTION,
  })
  @Answers(envelopeOf(attentionSchema))
  async attention(
    @ParsedParams(tenantPath) place: Place,
    @ParsedQuery(readParametersSchema) query: ReadParameters,
    @CurrentPrincipal() principal: Principal,
  ) {
    const view = this.views.open({ surface: tenantDashboard.name, query, principal, place });
    const { meta, counts } = await tenantCounts(view);
    return { meta, data: attentionOf(counts, (filter) => view.href(filter)) };
  }
}
