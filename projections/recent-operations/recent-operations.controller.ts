import { Controller, Get } from '@nestjs/common';
import { ApiOperation } from '@nestjs/swagger';
import { z } from 'zod';
import { CurrentPrincipal, OnPlane } from '../../src/auth/auth.guard';
import type { Principal } from '../../src/auth/principal';
import { Answers, ParsedParams, ParsedQuery } from '../../src/http/parsed';
import { pageParameters, readParameters } from '../../src/http/read-request';
import { filterFields } from '../../src/http/run-filter';
import { runListAnswer, RunViews, tenantPath, workspacePath } from '../../src/http/run-view';
import type { Place } from '../../src/http/run-view';
import { recentRuns } from './recent-operations.query';
import { recentOperations } from './recent-operations.surface';

const tenantQuery = z.strictObject({
  ...readParameters,
  ...pageParameters,
  ...filterFields('problemClass', 'type', 'status', 'outcome', 'lineage', 'resolution', 'active'),
});
const workspaceQuery = tenantQuery.extend(filterFields('tenant'));
type Query = z.infer<typeof workspaceQuery>;

@OnPlane('admin')
@Controller('workspaces/:workspaceId')
export class RecentOperationsController {
  constructor(private readonly views: RunViews) {}

  @Get('tenants/:tenantId/operations/recent')
  @ApiOperation({ summary: 'Newest runs of a tenant', description: 'Last queued first, in pages.' })
  @Answers(runListAnswer)
  ofTenant(
    @ParsedParams(tenantPath) place: Place,
    @ParsedQuery(tenantQuery) query: Query,
    @CurrentPrincipal() principal: Principal,
  ) {
    return this.recent(place, query, principal);
  }

  @Get('operations/recent')
  @ApiOperation({ summary: 'Newest runs of a workspace', description: 'Last queued first, in pages.' })
  @Answers(runListAnswer)
  ofWorkspace(
    @ParsedParams(workspacePath) place: Place,
    @ParsedQuery(workspaceQuery) query: Query,
    @CurrentPrincipal() principal: Principal,
  ) {
    return this.recent(place, query, principal);
  }

  private async recent(place: Place, query: Query, principal: Principal) {
    const view = this.views.open({ surface: recentOperations.name, query, principal, place });
    const { meta, rows } = await recentRuns(view, query);
    return view.runPage(meta, rows.runs, query.limit, (run) => run.queuedAt);
  }
}
