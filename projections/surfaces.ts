import type { Surface } from '../src/projector/surface';
import { notifications } from './notifications/notifications.surface';
import { operationsHub } from './operations-hub/operations-hub.surface';
import { progressOverlay } from './progress-overlay/progress-overlay.surface';
import { recentOperations } from './recent-operations/recent-operations.surface';
import { runDetail } from './run-detail/run-detail.surface';
import { systemFailures } from './system-failures/system-failures.surface';
import { systemRuns } from './system-runs/system-runs.surface';
import { systemStuck } from './system-stuck/system-stuck.surface';
import { tenantDashboard } from './tenant-dashboard/tenant-dashboard.surface';
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
