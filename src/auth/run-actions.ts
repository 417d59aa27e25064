import type { AskedKind } from '../domain/allowed-actions';
import type { Capability, Plane } from './principal';

/** Something that may be asked of a run. */
export interface RunAction {
  /** As its route is called. */
  readonly name: string;
  /** Of the command behind it. */
  readonly kind: AskedKind | 'queue';
  readonly capability: Capability;
  /** A worker reports what a run does; a person decides what becomes of it, and is shown the choice on its page. */
  readonly by: 'worker' | 'person';
}

/** What the routes of each plane take. */
export const RUN_ACTIONS = {
  admin: [
    { name: 'queue', kind: 'queue', capability: 'runs.write', by: 'worker' },
    { name: 'start', kind: 'start', capability: 'runs.write', by: 'worker' },
    { name: 'progress', kind: 'progress', capability: 'runs.write', by: 'worker' },
    { name: 'complete', kind: 'complete', capability: 'runs.write', by: 'worker' },
    { name: 'cancel', kind: 'cancel', capability: 'runs.write', by: 'person' },
    { name: 'resolve', kind: 'resolve', capability: 'runs.triage', by: 'person' },
    { name: 'reopen', kind: 'reopen', capability: 'runs.triage', by: 'person' },
  ],
  system: [
    { name: 'retry', kind: 'retry', capability: 'ops.triage', by: 'person' },
    { name: 'cancel', kind: 'cancel', capability: 'ops.triage', by: 'person' },
    { name: 'mark-failed', kind: 'mark-failed', capability: 'ops.triage', by: 'person' },
    { name: 'mark-investigated', kind: 'resolve', capability: 'ops.triage', by: 'person' },
    { name: 'reopen', kind: 'reopen', capability: 'ops.triage', by: 'person' },
  ],
} as const satisfies Record<Plane, readonly RunAction[]>;
