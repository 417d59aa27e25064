import type { PoolClient } from 'pg';
import type { Generation } from '../projector/generations';
import { auditPicked, auditStreams } from './audit';
import type { PickRuns } from './audit';
import type { AuditContext, AuditReport } from './audit';
import type { AuditDifference } from './audit-differences';
import { countRuns, pickFromStretch } from './audit-sample';
import { LogWalk, runsOf } from './log-walk';

/** Runs folded at a time: their events are in memory together. */
const RUNS_PER_LOOK = 500;
/** Events of the log looked at between two of them, for the runs they speak of. */
const EVENTS_PER_RUN = 10;
const FOUND = 100;

/**
 * `auditStreams` for a sample of any size, in looks that fit into memory. Several looks share out the run ids in their
 * order, each picking from a stretch of its own, so that no run is looked at twice, nothing has to be remembered, and a
 * sample as large as the generation is all of it, and of the log. The position told is that of the last look.
 */
export async function auditInLooks(
  context: AuditContext,
  request: { readonly generation: Generation; readonly sample: number; readonly random: () => number },
  runsPerLook = RUNS_PER_LOOK,
): Promise<AuditReport> {
  const { generation, sample, random } = request;
  // The cheapest where one look will do: nothing is counted, and no ids are passed over.
  if (sample <= runsPerLook) return auditStreams(context, request);
  const all = await countRuns(context.pool, generation.schema);
  const walk = new Walk(all, sample, random);
  const events = sample < all ? sample : null;
  const log = await LogWalk.begin(context, { generation, events, random });
  const found: AuditDifference[] = [];
  let runs = 0;
  let differences = 0;
  for (;;) {
    // By its first event, so that no look finds a run missing that another one has found.
    const begun = (await log.next(runsPerLook * EVENTS_PER_RUN)).filter(({ revision }) => revision === 0);
    const pick: PickRuns = async (client, schema) =>
      walk.isOver ? [] : walk.next(client, schema, runsPerLook);
    const look = await auditPicked(context, generation, pick, runsOf(begun));
    runs += look.runs;
    differences += look.differences;
    found.push(...look.found.slice(0, FOUND - found.length));
    if (walk.isOver && log.isOver) return { ...look, runs, differences, found };
  }
}

/** The way of a sample through all run ids, in their order. */
class Walk {
  isOver = false;
  private after: string | null = null;

  constructor(
    private runsAhead: number,
    private left: number,
    private readonly random: () => number,
  ) {}

  async next(client: PoolClient, schema: string, most: number): Promise<string[]> {
    const { after, left, runsAhead, random } = this;
    const size = Math.min(left, most);
    // Its share of what is ahead, as `size` is of what is left to pick. Runs may have been added since they were counted.
    const length = Math.max(size, Math.ceil((runsAhead * size) / left));
    const stretch = await pickFromStretch(client, schema, { after, length, size }, random);
    this.after = stretch.last;
    this.left -= stretch.runIds.length;
    this.runsAhead = Math.max(0, runsAhead - stretch.length);
    this.isOver = this.left <= 0 || stretch.length < length;
    return stretch.runIds;
  }
}
