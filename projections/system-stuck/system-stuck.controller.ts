import { Controller, Get } from '@nestjs/common';
import { z } from 'zod';
import { CurrentPrincipal, OnPlane } from '../../src/auth/auth.guard';
import type { Principal } from '../../src/auth/principal';
import { Answers, ParsedQuery } from '../../src/http/parsed';
import { pageParameters, readParameters } from '../../src/http/read-request';
import { filterFields } from '../../src/http/run-filter';
import { runListAnswer, RunViews } from '../../src/http/run-filter-view';
import { stuckRuns } from './system-stuck.query';
import { systemStuck } from './system-stuck.surface';

const stuckQuery = z.strictObject({
  ...readParameters,
  ...pageParameters,
  ...filterFields('workspace', 'tenant', 'type', 'status', 'resolution'),
});

@OnPlane('system')
@Controller('system/ops/stuck')
export class SystemStuckController {
  constructor(private readonly views: RunViews) {}

  @Get()
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
