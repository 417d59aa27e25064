import { Controller, Get } from '@nestjs/common';
import { ApiOperation } from '@nestjs/swagger';
import { z } from 'zod';
import { CurrentPrincipal, OnPlane } from '../../src/auth/auth.guard';
import type { Principal } from '../../src/auth/principal';
import { Answers, ParsedQuery } from '../../src/http/parsed';
import { pageParameters, systemReadParameters } from '../../src/http/read-request';
import { filterFields } from '../../src/http/run-filter';
import { runListAnswer, RunViews } from '../../src/http/run-view';
import { failedRuns } from './system-failures.query';
import { systemFailures } from './system-failures.surface';

const failuresQuery = z.strictObject({
  ...systemReadParameters,
  ...pageParameters,
  ...filterFields('problemClass', 'workspace', 'tenant', 'type', 'outcome', 'lineage', 'resolution'),
});

@OnPlane('system')
@Controller('system/ops/failures')
export class SystemFailuresController {
  constructor(private readonly views: RunViews) {}

  @Get()
  @ApiOperation({
    summary: 'Failed and reconciled runs of all workspaces',
    description: 'Last ended first, in pages. A reconciled run is listed whatever its outcome.',
  })
  @Answers(runListAnswer)
  async list(
    @ParsedQuery(failuresQuery) query: z.infer<typeof failuresQuery>,
    @CurrentPrincipal() principal: Principal,
  ) {
    const view = this.views.open({ surface: systemFailures.name, query, principal });
    const { meta, rows } = await failedRuns(view, query);
    return view.runPage(meta, rows.runs, query.limit, (run) => run.completedAt);
  }
}
