import { fc } from '../support/properties';
import { verdictAt } from '../../src/classifier/classified-run';
import type { ClassifiedRun } from '../../src/classifier/classified-run';
import { OUTCOMES, STATUSES } from '../../src/events/operation-run-events';
import { PROBLEM_CLASSES } from '../../src/domain/classification';
import { LINEAGES, RESOLUTIONS } from '../../src/http/run-filter';
import type { RunFilter } from '../../src/http/run-filter';
import { anyRun } from '../classifier/run-facts';

/** Ids as other systems make them: with characters that mean something in a URL. */
export const WORKSPACES = ['w1', 'w/2 =&?#%ä'];
export const TENANTS = ['t1', 't+2/=&', null];
const TYPES = ['sync', 'backup', 'constructor'];

/** Up to 40 runs over all places, with ids and positions of their own. */
export const anyRuns: fc.Arbitrary<ClassifiedRun[]> = fc
  .array(fc.tuple(anyRun, fc.constantFrom(...WORKSPACES), fc.constantFrom(...TENANTS)), { maxLength: 40 })
  .map((runs) =>
    runs.map(([run, workspaceId, tenantId], index) => ({
      ...run,
      facts: { ...run.facts, runId: `run/${index}`, workspaceId, tenantId },
      position: `1.${index + 1}`,
    })),
  );

const some = <T extends string>(...values: readonly T[]) =>
  fc.uniqueArray(fc.constantFrom(...values), { minLength: 1, maxLength: 2 }).map((chosen) => chosen.sort());

/** A filter as a parsed query has it: present members only, lists sorted. */
export const anyFilter: fc.Arbitrary<RunFilter> = fc.record(
  {
    problemClass: some(...PROBLEM_CLASSES),
    workspace: some(...WORKSPACES, 'elsewhere'),
    tenant: some('t1', 't+2/=&', ''),
    type: some(...TYPES),
    status: some(...STATUSES),
    outcome: some(...OUTCOMES),
    lineage: some(...LINEAGES),
    resolution: some(...RESOLUTIONS),
    active: fc.boolean(),
  },
  { requiredKeys: [] },
);

/** What a filter means, said once more without SQL. */
export function matchesInMemory(
  { facts, timeline, incomplete }: ClassifiedRun,
  filter: RunFilter,
  asOf: string,
): boolean {
  const { problemClass } = verdictAt(timeline, asOf, incomplete);
  const has = (wanted: readonly string[] | undefined, value: string) => !wanted || wanted.includes(value);
  return (
    has(filter.problemClass, problemClass) &&
    has(filter.workspace, facts.workspaceId) &&
    has(filter.tenant, facts.tenantId ?? '') &&
    has(filter.type, facts.type) &&
    has(filter.status, facts.status) &&
    has(filter.outcome, facts.outcome) &&
    has(filter.lineage, facts.evidence ? 'reconciled_stale' : 'none') &&
    has(filter.resolution, facts.resolution) &&
    (filter.active === undefined || filter.active === (facts.status !== 'completed'))
  );
}
