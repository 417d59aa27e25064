import type { ProblemClass } from '../domain/classification';
import { PROBLEM_CLASSES } from '../domain/classification';
import { OUTCOMES } from '../events/operation-run-events';
import type { Outcome } from '../events/operation-run-events';
import type { Scope } from '../auth/principal';
import type { RunFilter } from './run-filter';

/** A part of a list that an index holds in the list's own order. */
export interface Range extends Place {
  /** As stored: a stale run is stored as `none`. */
  readonly problem_class: ProblemClass;
  readonly outcome: Outcome;
}

interface Place {
  readonly workspace?: string;
  readonly tenant?: string;
}

/** Beyond this many places one index range over all of them is cheaper than a page read from each. */
const MAX_PLACES = 8;

/**
 * The ranges that hold every run of a list, all with the same members, at least one. They only guide the search: the
 * list's own condition still decides on every row.
 */
export function rangesOf({ filter, scope }: { filter: RunFilter; scope: Scope }): Range[] {
  const wanted = filter.problemClass?.length ? filter.problemClass : PROBLEM_CLASSES;
  const outcomes = outcomesOf(filter);
  const ranges = placesOf(filter, scope).flatMap((place) =>
    outcomes.flatMap((outcome) =>
      storedAs(wanted, outcome).map((problem_class): Range => ({ problem_class, outcome, ...place })),
    ),
  );
  // A filter that contradicts itself: any range does, for no run of it will match.
  return ranges.length > 0 ? ranges : [{ problem_class: 'none', outcome: 'pending' }];
}

/** A run past its deadline is stored as `none`, and pending: nothing else goes stale. */
function storedAs(wanted: readonly ProblemClass[], outcome: Outcome): ProblemClass[] {
  const stale = outcome === 'pending' && wanted.includes('active_stale_attention');
  return [
    ...(stale || wanted.includes('none') ? (['none'] as const) : []),
    ...(wanted.includes('terminal_follow_up') ? (['terminal_follow_up'] as const) : []),
  ];
}

/** The outcomes that status, activity and outcome leave: a run is pending exactly until it completes. */
function outcomesOf({ status, active, outcome }: RunFilter): Outcome[] {
  const mayBeActive = active !== false && (!status?.length || status.some((one) => one !== 'completed'));
  const mayBeCompleted = active !== true && (!status?.length || status.includes('completed'));
  return OUTCOMES.filter(
    (one) =>
      (one === 'pending' ? mayBeActive : mayBeCompleted) && (!outcome?.length || outcome.includes(one)),
  );
}

function placesOf(filter: RunFilter, scope: Scope): Place[] {
  const workspaces = filter.workspace?.length ? filter.workspace : grantedWorkspaces(scope);
  if (workspaces.length === 0 || workspaces.length > MAX_PLACES) return [{}];
  const tenants = filter.tenant?.length ? filter.tenant : grantedTenants(scope, workspaces);
  if (tenants.length === 0 || workspaces.length * tenants.length > MAX_PLACES)
    return workspaces.map((workspace) => ({ workspace }));
  return workspaces.flatMap((workspace) => tenants.map((tenant) => ({ workspace, tenant })));
}

function grantedWorkspaces(scope: Scope): string[] {
  return scope.kind === 'everything' ? [] : [...new Set(scope.grants.map((grant) => grant.workspaceId))];
}

/** The only tenants that a reader sees of the only workspace asked for; none when that is not so simple. */
function grantedTenants(scope: Scope, [workspaceId, ...others]: readonly string[]): readonly string[] {
  if (scope.kind === 'everything' || others.length > 0) return [];
  const grants = scope.grants.filter((grant) => grant.workspaceId === workspaceId);
  if (grants.some((grant) => grant.tenantIds === null)) return [];
  return [...new Set(grants.flatMap((grant) => grant.tenantIds ?? []))];
}
