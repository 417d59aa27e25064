import type { Pool } from 'pg';
import type { Judge } from '../domain/classification';
import type { EventStore } from '../event-store/event-store';
import type { Clock } from '../events/instant';
import type { Surface } from '../projector/surface';

/** The injection token of the `OperatorContext`. */
export const OPERATOR_CONTEXT = Symbol('OperatorContext');

/** What an operator's work on projections needs: the log, the tables, the surfaces and the judge in force. */
export interface OperatorContext {
  readonly pool: Pool;
  readonly store: EventStore;
  readonly surfaces: readonly Surface[];
  readonly clock: Clock;
  readonly judge: () => Judge;
}
