import { runDeadline, runDeadlineColumns } from './run-columns';
import type { KeyedTable } from './surface';

/**
 * When each run that is still heard from goes stale, with all that a filter may ask for. The engine's own, as `run_facts` is:
 * whoever counts stuck runs at an instant counts these, of a narrow table and not of a list.
 */
export const runDeadlines: KeyedTable = {
  kind: 'keyed',
  name: 'run_deadlines',
  columns: runDeadlineColumns,
  // Not on stale_at: every heartbeat moves it, and an unindexed column can change in place. Nor on the tenant: a workspace's
  // active runs are few, the key finds them, and an index like the key would be taken for it by plans made early.
  indexes: [],
  row: runDeadline,
};
