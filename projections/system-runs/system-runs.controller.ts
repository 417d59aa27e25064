import { Controller, Get } from '@nestjs/common';
import { ApiOperation } from '@nestjs/swagger';
import { z } from 'zod';
import { CurrentPrincipal, OnPlane } from '../../src/auth/auth.guard';
import type { Principal } from '../../src/auth/principal';
import { envelopeOf } from '../../src/http/envelope';
import { Answers, ParsedQuery } from '../../src/http/parsed';
import {
  pageParameters,
  systemReadParameters,
  systemReadParametersSchema,
} from '../../src/http/read-request';
import type { ReadParameters } from '../../src/http/read-request';
import { runFilterShape } from '../../src/http/run-filter';
import type { RunFilter } from '../../src/http/run-filter';
import { runListAnswer, RunViews } from '../../src/http/run-view';
import type { RunView } from '../../src/http/run-view';
import { bucketsOf, bucketsSchema, SUMMARY_DESCRIPTION, sumOf, summarySchema } from '../../src/http/summary';
import type { Counts } from '../../src/http/summary';
import { countsByWorkspace, platformRuns } from './system-runs.query';
import { systemRuns } from './system-runs.surface';

const runsQuery = z.strictObject({ ...systemReadParameters, ...pageParameters, ...runFilterShape });

const platformSchema = summarySchema.extend({
  /** All of them add up to `buckets`. */
  workspaces: z.array(z.object({ workspaceId: z.string(), buckets: bucketsSchema })),
});

@OnPlane('system')
@Controller('system/ops')
export class SystemRunsController {
  constructor(private readonly views: RunViews) {}

  @Get('summary')
  @ApiOperation({ summary: "Counts of all runs, and of each workspace's", description: SUMMARY_DESCRIPTION })
  @Answers(envelopeOf(platformSchema))
  async summary(
    @ParsedQuery(systemReadParametersSchema) query: ReadParameters,
    @CurrentPrincipal() principal: Principal,
  ) {
    const view = this.views.open({ surface: systemRuns.name, query, principal });
    const { meta, workspaces } = await countsByWorkspace(view);
    const buckets = (counts: Counts, place: RunFilter) =>
      bucketsOf(counts, (filter) => href(view, { ...filter, ...place }));
    return {
      meta,
      data: {
        buckets: buckets(sumOf(workspaces.map((workspace) => workspace.counts)), {}),
        // Grouped by a column that is never null.
        workspaces: workspaces.map(({ place, counts }) => ({
          workspaceId: place,
          buckets: buckets(counts, { workspace: [place] }),
        })),
      },
    };
  }

  @Get('runs')
  @ApiOperation({
    summary: 'Runs of all workspaces under any filter',
    description: 'Last queued first, in pages.',
  })
  @Answers(runListAnswer)
  async list(
    @ParsedQuery(runsQuery) query: z.infer<typeof runsQuery>,
    @CurrentPrincipal() principal: Principal,
  ) {
    const view = this.views.open({ surface: systemRuns.name, query, principal });
    const { meta, rows } = await platformRuns(view, query);
    return view.runPage(meta, rows.runs, query.limit, (run) => run.queuedAt);
  }
}

/** The stuck have a page of their own, which says of each how long it has been silent. */
function href(view: RunView, filter: RunFilter): string {
  const { problemClass } = filter;
  if (problemClass?.length !== 1 || problemClass[0] !== 'active_stale_attention') return view.href(filter);
  return view.href({ ...filter, problemClass: undefined }, '/system/ops/stuck');
}
