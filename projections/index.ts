import { Module } from '@nestjs/common';
import type { DynamicModule } from '@nestjs/common';
import { SnapshotReader } from '../src/db/snapshot-reader';
import { RunViews } from '../src/http/run-filter-view';
import type { Surface } from '../src/projector/surface';
import { NotificationsController } from './notifications/notifications.controller';
import { notifications } from './notifications/notifications.surface';
import { OperationsHubController } from './operations-hub/operations-hub.controller';
import { operationsHub } from './operations-hub/operations-hub.surface';
import { ProgressOverlayController } from './progress-overlay/progress-overlay.controller';
import { progressOverlay } from './progress-overlay/progress-overlay.surface';
import { RecentOperationsController } from './recent-operations/recent-operations.controller';
import { recentOperations } from './recent-operations/recent-operations.surface';
import { RunDetailController } from './run-detail/run-detail.controller';
import { runDetail } from './run-detail/run-detail.surface';
import { SystemFailuresController } from './system-failures/system-failures.controller';
import { systemFailures } from './system-failures/system-failures.surface';
import { SystemRunsController } from './system-runs/system-runs.controller';
import { systemRuns } from './system-runs/system-runs.surface';
import { SystemStuckController } from './system-stuck/system-stuck.controller';
import { systemStuck } from './system-stuck/system-stuck.surface';
import { TenantDashboardController } from './tenant-dashboard/tenant-dashboard.controller';
import { tenantDashboard } from './tenant-dashboard/tenant-dashboard.surface';
import { WorkspaceOverviewController } from './workspace-overview/workspace-overview.controller';
import { workspaceOverview } from './workspace-overview/workspace-overview.surface';

/** Every read surface, in the order in which the engine writes them. */
export const surfaces: readonly Surface[] = [
  tenantDashboard,
  workspaceOverview,
  recentOperations,
  progressOverlay,
  operationsHub,
  runDetail,
  systemRuns,
  systemFailures,
  systemStuck,
  notifications,
];

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
