import { surfaces } from '../../projections/surfaces';
import type { OperatorContext } from '../replay/operator-context';
import { withReason } from '../replay/replays';
import type { Operator } from '../replay/replays';
import type { Runtime } from '../runtime/runtime';
import { actorName } from './actor';
import { withRuntime } from './with-runtime';

export interface Desk {
  readonly runtime: Runtime;
  readonly context: OperatorContext;
}

/** Runs a verb of replays, beside whichever version's generation is live. */
export async function onReplays(work: (desk: Desk) => Promise<void>): Promise<void> {
  await withRuntime({ migrate: false, anySurfaces: true }, async (runtime) => {
    const { pool, store, clock, live } = runtime;
    await work({ runtime, context: { pool, store, clock, surfaces, judge: () => live.current() } });
  });
}

/** Who asks, and why. Refuses a reason that no step would take: a preview as well. */
export function operatorOf(reason: string | undefined): Operator {
  return withReason({ actor: actorName(), reason: reason ?? null });
}
