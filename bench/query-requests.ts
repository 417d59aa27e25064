import { PROBLEM_CLASSES } from '../src/domain/classification';
import { createRandom } from '../src/simulator/random';
import { SIMULATED_TYPES } from '../src/simulator/workload';
import type { LoadedRuns } from './loaded-runs';

export interface QueryRequests {
  readonly name: string;
  readonly plane: 'admin' | 'system';
  /** The path and query of the nth request. */
  readonly path: (nth: number) => string;
}

const OUTCOMES = ['failed', 'succeeded', 'blocked', 'cancelled', 'pending'] as const;
const DRAWS = 997;

/** The requests of each query, over places and runs drawn as the workload draws them: busy ones most. */
export function queryRequests({ workspaces, tenantsPerWorkspace, runId, runs }: LoadedRuns): QueryRequests[] {
  const random = createRandom(7);
  const draws = Array.from({ length: DRAWS }, () => ({
    workspace: `workspace-${1 + Math.floor(random.between(0, 1) ** 2 * workspaces)}`,
    tenant: `tenant-${1 + Math.floor(random.between(0, 1) ** 2 * tenantsPerWorkspace)}`,
    run: runId(random.integer(0, runs - 1)),
    type: random.pick(SIMULATED_TYPES),
    outcome: random.pick(OUTCOMES),
    problemClass: random.pick(PROBLEM_CLASSES),
  }));
  const drawn = (nth: number) => draws[nth % DRAWS]!;
  const workspace = (nth: number) => `/workspaces/${drawn(nth).workspace}`;
  const tenant = (nth: number) => `${workspace(nth)}/tenants/${drawn(nth).tenant}`;
  return [
    { name: 'tenant-summary', plane: 'admin', path: (nth) => `${tenant(nth)}/operations/summary` },
    { name: 'workspace-summary', plane: 'admin', path: (nth) => `${workspace(nth)}/operations/summary` },
    {
      name: 'recent',
      plane: 'admin',
      path: (nth) => `${nth % 2 === 0 ? workspace(nth) : tenant(nth)}/operations/recent`,
    },
    { name: 'hub', plane: 'admin', path: () => '/admin/operations' },
    {
      name: 'hub-workspace-class',
      plane: 'admin',
      path: (nth) =>
        `/admin/operations?workspace=${drawn(nth).workspace}&problemClass=${drawn(nth).problemClass}`,
    },
    {
      name: 'hub-type-outcome',
      plane: 'admin',
      path: (nth) => `/admin/operations?type=${drawn(nth).type}&outcome=${drawn(nth).outcome}`,
    },
    { name: 'system-summary', plane: 'system', path: () => '/system/ops/summary' },
    { name: 'stuck', plane: 'system', path: () => '/system/ops/stuck' },
    { name: 'run-detail', plane: 'admin', path: (nth) => `/admin/operations/${drawn(nth).run}` },
    {
      name: 'progress',
      plane: 'admin',
      path: (nth) => `${nth % 2 === 0 ? workspace(nth) : tenant(nth)}/operations/progress`,
    },
  ];
}
