import { Controller, Get } from '@nestjs/common';
import { ApiOperation } from '@nestjs/swagger';
import { z } from 'zod';
import { CurrentPrincipal, OnPlane } from '../../src/auth/auth.guard';
import type { Principal } from '../../src/auth/principal';
import { bucketSchema } from '../../src/http/envelope';
import { Answers, ParsedParams, ParsedQuery } from '../../src/http/parsed';
import { pageParameters, readParameters } from '../../src/http/read-request';
import { filterFields } from '../../src/http/run-filter';
import { pagedAnswer, runRows, RunViews, tenantPath, workspacePath } from '../../src/http/run-view';
import type { Place } from '../../src/http/run-view';
import { bucket } from '../../src/http/summary';
import { activeRuns } from './progress-overlay.query';
import { progressOverlay } from './progress-overlay.surface';

const POLL_AFTER_SECONDS = 10;

const tenantQuery = z.strictObject({
  ...readParameters,
  ...pageParameters,
  ...filterFields('problemClass', 'type', 'status', 'resolution'),
});
const workspaceQuery = tenantQuery.extend(filterFields('tenant'));
type Query = z.infer<typeof workspaceQuery>;

const progressAnswer = pagedAnswer(
  runRows.extend({
    /** Ask again after so long, until `continue` is false: then nothing on this path is queued or running. */
    poll: z.object({ continue: z.boolean(), afterSeconds: z.int() }),
    total: bucketSchema,
  }),
);

const DESCRIPTION =
  'The queued and running runs, last queued first and in pages. Ask again after `poll.afterSeconds` while ' +
  '`poll.continue` is true, which is said of the whole path whatever the filter.';

@OnPlane('admin')
@Controller('workspaces/:workspaceId')
export class ProgressOverlayController {
  constructor(private readonly views: RunViews) {}

  @Get('tenants/:tenantId/operations/progress')
  @ApiOperation({
    summary: 'Active runs of a tenant, and whether to go on polling',
    description: DESCRIPTION,
  })
  @Answers(progressAnswer)
  ofTenant(
    @ParsedParams(tenantPath) place: Place,
    @ParsedQuery(tenantQuery) query: Query,
    @CurrentPrincipal() principal: Principal,
  ) {
    return this.progress(place, query, principal);
  }

  @Get('operations/progress')
  @ApiOperation({
    summary: 'Active runs of a workspace, and whether to go on polling',
    description: DESCRIPTION,
  })
  @Answers(progressAnswer)
  ofWorkspace(
    @ParsedParams(workspacePath) place: Place,
    @ParsedQuery(workspaceQuery) query: Query,
    @CurrentPrincipal() principal: Principal,
  ) {
    return this.progress(place, query, principal);
  }

  private async progress(place: Place, query: Query, principal: Principal) {
    const view = this.views.open({ surface: progressOverlay.name, query, principal, place });
    const { meta, rows } = await activeRuns(view, query);
    const { active, listed } = rows.counts[0]!;
    const answer = view.runPage(meta, rows.runs, query.limit, (run) => run.queuedAt);
    return {
      ...answer,
      data: {
        // Of the path and not of the filter: a reader who looks at one type still waits for the others to end.
        poll: { continue: active > 0, afterSeconds: POLL_AFTER_SECONDS },
        total: bucket(listed, view.href({ ...view.filter, active: true })),
        ...answer.data,
      },
    };
  }
}
