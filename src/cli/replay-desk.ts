import { surfaces } from '../../projections';
import type { OperatorContext } from '../replay/operator-context';
import { ReplayRefusedError } from '../replay/replays';
import type { Operator } from '../replay/replays';
import type { Runtime } from '../runtime';
import { actorName } from './actor';
import type { Output } from './output';
import { withRuntime } from './with-runtime';

export interface Desk {
  readonly runtime: Runtime;
  readonly context: OperatorContext;
}

/** Runs a verb of replays; what they refuse is told in words and ends with exit code 1. */
export async function onReplays(output: Output, work: (desk: Desk) => Promise<void>): Promise<void> {
  await withRuntime({ migrate: false, anySurfaces: true }, async (runtime) => {
    const { pool, store, clock, live } = runtime;
    try {
      await work({ runtime, context: { pool, store, clock, surfaces, judge: () => live.current() } });
    } catch (error) {
      if (!(error instanceof ReplayRefusedError)) throw error;
      process.exitCode = 1;
      const { code, message, details } = error;
      if (output.json) output.result({ refused: code, message, details }, () => []);
      else process.stderr.write([message, ...details.map((one) => `  ${one}`), ''].join('\n'));
    }
  });
}

export function operatorOf(reason: string | undefined): Operator {
  return { actor: actorName(), reason: reason ?? null };
}
