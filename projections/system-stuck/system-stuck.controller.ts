import { Controller, Get } from '@nestjs/common';
import { ApiOperation } from '@nestjs/swagger';
import { z } from 'zod';
import { CurrentPrincipal, OnPlane } from '../../src/auth/auth.guard';
import type { Principal } from '../../src/auth/principal';
import { Answers, ParsedQuery } from '../../src/http/parsed';
import { pageParameters, systemReadParameters } from '../../src/http/read-request';
import { filterFields } from '../../src/http/run-filter';
import { runListAnswer, RunViews } from '../../src/http/run-view';
import { stuckRuns } from './system-stuck.query';
import { systemStuck } from './system-stuck.surface';

const stuckQuery = z.strictObject({
  ...systemReadParameters,
  ...pageParameters,
  ...filterFields('workspace', 'tenant', 'type', 'status', 'resolution'),
});

@OnPlane('system')
@Controller('system/ops/stuck')
export class SystemStuckController {
  constructor(private readonly views: RunViews) {}

  @Get()
  @ApiOperation({
    summary: 'Active runs of all workspaces past their deadline',
    description:
      'Longest overdue first, in pages. Whether a run is overdue is judged at `asOf`: it becomes so by time ' +
      'alone, without an event.',
  })
  @Answers(runListAnswer)
  async list(
    @ParsedQuery(stuckQuery) query: z.infer<typeof stuckQuery>,
    @CurrentPrincipal() principal: Principal,
  ) {
    const view = this.views.open({ surface: systemStuck.name, query, principal });
    const { meta, rows } = await stuckRuns(view, query);
    return view.runPage(meta, rows.runs, query.limit, (run) => run.staleAt);
  }
}
