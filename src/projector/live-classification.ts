import type { Pool } from 'pg';
import { judgeEndedAlike, judgeWith } from '../classifier/classifier';
import type { Judge } from '../domain/classification';
import { liveGeneration } from './generations';
import type { Generation } from './generations';
import { loadPolicy } from './policies';

/** The judge of a generation: its classifier version over its policy version. */
export async function judgeFor(pool: Pool, generation: Generation): Promise<Judge> {
  return judgeWith(generation.classifierVersion, await loadPolicy(pool, generation.policyVersion));
}

/** The versions that a generation is judged by. */
export type RuleVersions = Pick<Generation, 'classifierVersion' | 'policyVersion'>;

/** See `judgeEndedAlike`. */
export async function endedAlike(pool: Pool, one: RuleVersions, other: RuleVersions): Promise<boolean> {
  const [a, b] = [await loadPolicy(pool, one.policyVersion), await loadPolicy(pool, other.policyVersion)];
  return judgeEndedAlike({ ...one, ...a }, { ...other, ...b });
}

/**
 * The judge that commands are guarded by: always that of the live generation, so that an operator is refused or
 * obeyed by the same rules that the screen shows. Refreshed after a switch of generations.
 */
export class LiveClassification {
  private judge: Judge | null = null;
  private generationId: number | null = null;

  constructor(private readonly pool: Pool) {}

  /** Throws before the first `refresh`: nothing may be decided without a policy. */
  current(): Judge {
    if (!this.judge) throw new Error('no policy is loaded yet: refresh the live classification first');
    return this.judge;
  }

  async refresh(): Promise<void> {
    const live = await liveGeneration(this.pool);
    if (!live || live.id === this.generationId) return;
    this.judge = await judgeFor(this.pool, live);
    this.generationId = live.id;
  }
}
