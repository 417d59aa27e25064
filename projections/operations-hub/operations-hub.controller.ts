import { Controller, Get } from '@nestjs/common';
import { ApiOperation } from '@nestjs/swagger';
import { z } from 'zod';
import { CurrentPrincipal, OnPlane } from '../../src/auth/auth.guard';
import type { Principal } from '../../src/auth/principal';
import { bucketSchema } from '../../src/http/envelope';
import type { Bucket } from '../../src/http/envelope';
import { Answers, ParsedQuery } from '../../src/http/parsed';
import { pageParameters, readParameters } from '../../src/http/read-request';
import { runFilterShape } from '../../src/http/run-filter';
import { pagedAnswer, runRows, RunViews } from '../../src/http/run-view';
import { bucket } from '../../src/http/summary';
import { hubRuns, sharedFilter, TABS } from './operations-hub.query';
import { operationsHub } from './operations-hub.surface';

const hubQuery = z.strictObject({ ...readParameters, ...pageParameters, ...runFilterShape });

const tabsSchema = z.object({
  all: bucketSchema,
  active: bucketSchema,
  active_stale_attention: bucketSchema,
  terminal_follow_up: bucketSchema,
});

@OnPlane('admin')
@Controller('admin/operations')
export class OperationsHubController {
  constructor(private readonly views: RunViews) {}

  @Get()
  @ApiOperation({
    summary: 'Every run in scope under any filter, with counted tabs',
    description:
      'Last queued first, in pages. Each tab counts and links what it would list: its own `problemClass` or ' +
      "`active` in place of the request's, under all other filters.",
  })
  @Answers(pagedAnswer(runRows.extend({ tabs: tabsSchema })))
  async list(
    @ParsedQuery(hubQuery) query: z.infer<typeof hubQuery>,
    @CurrentPrincipal() principal: Principal,
  ) {
    const view = this.views.open({ surface: operationsHub.name, query, principal });
    const { meta, runs, counts } = await hubRuns(view, query);
    const answer = view.runPage(meta, runs, query.limit, (run) => run.queuedAt);
    const shared = sharedFilter(view.filter);
    const tab = (name: keyof typeof TABS): Bucket =>
      bucket(counts[name], view.href({ ...shared, ...TABS[name] }));
    const tabs: z.infer<typeof tabsSchema> = {
      all: tab('all'),
      active: tab('active'),
      active_stale_attention: tab('active_stale_attention'),
      terminal_follow_up: tab('terminal_follow_up'),
    };
    return { ...answer, data: { tabs, ...answer.data } };
  }
}
