import { Module } from '@nestjs/common';
import type { DynamicModule } from '@nestjs/common';
import { SnapshotReader } from '../src/db/snapshot-reader';
import { RunViews } from '../src/http/run-view';
import { NotificationsController } from './notifications/notifications.controller';
import { OperationsHubController } from './operations-hub/operations-hub.controller';
import { ProgressOverlayController } from './progress-overlay/progress-overlay.controller';
import { RecentOperationsController } from './recent-operations/recent-operations.controller';
import { RunDetailController } from './run-detail/run-detail.controller';
import { SystemFailuresController } from './system-failures/system-failures.controller';
import { SystemRunsController } from './system-runs/system-runs.controller';
import { SystemStuckController } from './system-stuck/system-stuck.controller';
import { TenantDashboardController } from './tenant-dashboard/tenant-dashboard.controller';
import { WorkspaceOverviewController } from './workspace-overview/workspace-overview.controller';

/** The read routes of every plane. Needs HttpModule for the clock and the guard. */
@Module({})
export class ProjectionsModule {
  static register(reader: SnapshotReader): DynamicModule {
    return {
      module: ProjectionsModule,
      controllers: [
        TenantDashboardController,
        WorkspaceOverviewController,
        RecentOperationsController,
        ProgressOverlayController,
        OperationsHubController,
        RunDetailController,
        SystemRunsController,
        SystemFailuresController,
        SystemStuckController,
        NotificationsController,
      ],
      providers: [{ provide: SnapshotReader, useValue: reader }, RunViews],
    };
  }
}
