import { Controller, Get } from '@nestjs/common';
import { ApiOperation } from '@nestjs/swagger';
import { z } from 'zod';
import { CurrentPrincipal, OnPlane } from '../../src/auth/auth.guard';
import type { Principal } from '../../src/auth/principal';
import { runRowSchema, storedRunOf } from '../../src/classifier/run-row';
import { Answers, ParsedParams, ParsedQuery } from '../../src/http/parsed';
import { listParametersSchema, systemListParametersSchema } from '../../src/http/read-request';
import { pagedAnswer, RunViews, tenantPath, workspacePath } from '../../src/http/run-view';
import type { Place, RunView } from '../../src/http/run-view';
import { messages } from './notifications.query';
import type { Message } from './notifications.query';
import { notifications } from './notifications.surface';

type Query = z.infer<typeof listParametersSchema>;

const notificationSchema = runRowSchema
  .pick({
    runId: true,
    workspaceId: true,
    tenantId: true,
    severity: true,
    label: true,
    why: true,
    guidance: true,
    href: true,
  })
  .extend({ addressee: z.string(), at: z.string() })
  .meta({ id: 'Notification' });
const notificationsAnswer = pagedAnswer(z.object({ rows: z.array(notificationSchema) }));

const DESCRIPTION =
  'One message for each completed run, for whoever started it or else for its workspace, last ended first ' +
  "and in pages. The words are those of the run's own page.";

@Controller()
export class NotificationsController {
  constructor(private readonly views: RunViews) {}

  @Get('workspaces/:workspaceId/tenants/:tenantId/operations/notifications')
  @ApiOperation({ summary: 'Messages about the ended runs of a tenant', description: DESCRIPTION })
  @OnPlane('admin')
  @Answers(notificationsAnswer)
  ofTenant(
    @ParsedParams(tenantPath) place: Place,
    @ParsedQuery(listParametersSchema) query: Query,
    @CurrentPrincipal() principal: Principal,
  ) {
    return this.list(query, principal, place);
  }

  @Get('workspaces/:workspaceId/operations/notifications')
  @ApiOperation({ summary: 'Messages about the ended runs of a workspace', description: DESCRIPTION })
  @OnPlane('admin')
  @Answers(notificationsAnswer)
  ofWorkspace(
    @ParsedParams(workspacePath) place: Place,
    @ParsedQuery(listParametersSchema) query: Query,
    @CurrentPrincipal() principal: Principal,
  ) {
    return this.list(query, principal, place);
  }

  @Get('system/ops/notifications')
  @ApiOperation({ summary: 'Messages about the ended runs of all workspaces', description: DESCRIPTION })
  @OnPlane('system')
  @Answers(notificationsAnswer)
  ofPlatform(
    @ParsedQuery(systemListParametersSchema) query: Query,
    @CurrentPrincipal() principal: Principal,
  ) {
    return this.list(query, principal);
  }

  private async list(query: Query, principal: Principal, place?: Place) {
    const view = this.views.open({
      surface: notifications.name,
      query,
      principal,
      ...(place && { place }),
    });
    const { meta, rows } = await messages(view, query);
    return view.page(
      meta,
      rows.messages,
      query.limit,
      ({ run }) => ({ sortAt: run.completedAt!, runId: run.runId }),
      (shown) => ({ rows: shown.map((message) => notificationOf(message, view)) }),
    );
  }
}

/** The words are those of the run's own page, so that a message is never calmer than what it leads to. */
function notificationOf(
  { addressee, run: document }: Message,
  view: RunView,
): z.infer<typeof notificationSchema> {
  const run = storedRunOf(document);
  const { runId, workspaceId, tenantId, severity, label, why, guidance, href } = view.present(run);
  return {
    runId,
    workspaceId,
    tenantId,
    addressee,
    // Only terminal runs have messages.
    at: run.completedAt!,
    severity,
    label,
    why,
    guidance,
    href,
  };
}
