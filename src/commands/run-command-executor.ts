import { EVERYTHING, canSee } from '../auth/principal';
import type { Judge } from '../domain/classification';
import type { RunFacts } from '../domain/run-facts';
import type { Append, EventStore } from '../event-store/event-store';
import { streamOf } from '../events/operation-run-events';
import { START } from '../events/position';
import type { Position } from '../events/position';
import { eventIdOf } from './command-ids';
import { RunContendedError } from './command-result';
import type { CommandEnvelope, CommandResult, Failed } from './command-result';
import { hidden, planRun } from './plan-run';
import type { RunPlan } from './plan-run';
import { NO_DISCARDS, RunLoader } from './run-loader';
import type { Discards, Freshness, LoadedRun, LostRun } from './run-loader';

/** Writers in this process take turns, so every lost round is another process's gain; more than a few are rare. */
const MAX_ROUNDS = 11;
const DEFAULT_CACHE_BYTES = 48 * 1024 * 1024;

interface Asked {
  readonly index: number;
  readonly envelope: CommandEnvelope;
}

interface Planned {
  readonly runId: string;
  readonly asked: readonly Asked[];
  readonly run: LoadedRun;
  readonly plan: RunPlan;
}

export interface ExecutorOptions {
  readonly store: EventStore;
  /** The verdicts in force now: they follow the live generation's policy, which may change while we run. */
  readonly judge: () => Judge;
  readonly cacheBytes?: number;
  /** (Default: nothing is discarded) */
  readonly discards?: Discards;
}

/** Takes commands to runs from wherever they come, decides them on the runs' own facts, and writes what follows. */
export class RunCommandExecutor {
  private readonly store: EventStore;
  private readonly judge: () => Judge;
  private readonly runs: RunLoader;
  private readonly turns = new Map<string, Promise<void>>();

  constructor({ store, judge, cacheBytes = DEFAULT_CACHE_BYTES, discards = NO_DISCARDS }: ExecutorOptions) {
    this.store = store;
    this.judge = judge;
    this.runs = new RunLoader(store, cacheBytes, discards);
  }

  /** Throws RunContendedError, UnreadableEventError or FoldError, and whatever the store throws. Nothing is written then. */
  async execute(envelope: CommandEnvelope): Promise<CommandResult> {
    const [result] = await this.executeMany([envelope]);
    if (!result) throw new Error(`run ${envelope.runId}: a command came back without a result`);
    if (result.kind === 'failed') throw result.error;
    return result;
  }

  /**
   * Many commands at once: one result each, in the order given. Commands to one run are decided in that order and
   * written as one append; a run that fails or is contended for does not touch the others. An error of the store
   * itself is thrown: some runs may then have been written, and only commands that keep their id may be repeated.
   */
  async executeMany(envelopes: readonly CommandEnvelope[]): Promise<(CommandResult | Failed)[]> {
    const byRun = new Map<string, Asked[]>();
    envelopes.forEach((envelope, index) => {
      const asked = byRun.get(envelope.runId);
      if (asked) asked.push({ index, envelope });
      else byRun.set(envelope.runId, [{ index, envelope }]);
    });
    const results: (CommandResult | Failed)[] = [];
    await this.inTurn([...byRun.keys()], () => this.settle(byRun, results));
    return results;
  }

  /** A run as the log has it now; null when there is none. */
  factsOf(runId: string): Promise<RunFacts | null> {
    return this.runs.read(runId);
  }

  private async settle(byRun: ReadonlyMap<string, readonly Asked[]>, results: (CommandResult | Failed)[]) {
    let open = new Map([...byRun].map(([runId, asked]) => [runId, firstLook(asked)]));
    for (let round = 1; open.size > 0; round++) {
      if (round > MAX_ROUNDS) {
        for (const runId of open.keys())
          fail(byRun.get(runId)!, new RunContendedError(runId, MAX_ROUNDS), results);
        return;
      }
      const planned: Planned[] = [];
      for (const [runId, run] of await this.load(open, byRun)) {
        const asked = byRun.get(runId)!;
        if ('error' in run) this.lose(asked, run, results);
        else planned.push({ runId, asked, run, plan: this.plan(run, asked) });
      }
      const again = await this.write(planned, results);
      open = new Map(again.map(({ runId }) => [runId, 'fresh' as const]));
    }
  }

  /**
   * The runs, with their history where a command asked of them was executed before. That is looked for after the facts
   * were, whose version then says up to where: whoever executes it later than that makes our append a conflict.
   */
  private async load(
    open: ReadonlyMap<string, Freshness>,
    byRun: ReadonlyMap<string, readonly Asked[]>,
  ): Promise<Map<string, LoadedRun | LostRun>> {
    const loaded = await this.runs.load(open);
    const perhaps = new Map<string, string>();
    for (const runId of open.keys())
      for (const { envelope } of byRun.get(runId)!)
        if (envelope.mayBeRepeat) perhaps.set(eventIdOf(envelope.commandId, 0), runId);
    if (perhaps.size === 0) return loaded;
    const found = await this.store.findEventIds(
      [...perhaps].map(([eventId, runId]) => ({ eventId, streamId: streamOf(runId) })),
    );
    const repeated = new Map([...found].map((eventId) => [perhaps.get(eventId)!, 'whole'] as const));
    if (repeated.size === 0) return loaded;
    return new Map([...loaded, ...(await this.runs.load(repeated))]);
  }

  /** Only who may see the run is told what became of it: to all others there is none. */
  private lose(
    asked: readonly Asked[],
    { error, place }: LostRun,
    results: (CommandResult | Failed)[],
  ): void {
    for (const { index, envelope } of asked) {
      const { runId, scope = EVERYTHING } = envelope;
      const seen = scope.kind === 'everything' || (place && canSee(scope, place.workspaceId, place.tenantId));
      results[index] = seen ? { kind: 'failed', runId, error } : hidden(envelope, this.judge());
    }
  }

  private plan(run: LoadedRun, asked: readonly Asked[]): RunPlan {
    const envelopes = asked.map(({ envelope }) => envelope);
    return planRun(run.known?.facts ?? null, run.history, envelopes, this.judge());
  }

  /** Answers the runs it can and returns those to look at again. */
  private async write(planned: readonly Planned[], results: (CommandResult | Failed)[]): Promise<Planned[]> {
    const again: Planned[] = [];
    const writing: Planned[] = [];
    for (const one of planned) {
      if (one.plan.events.length > 0) writing.push(one);
      // A refusal writes nothing that could conflict: only a fresh look tells that it is not for yesterday's facts.
      else if (!one.run.fresh) again.push(one);
      else answer(one, one.run.known?.position ?? START, results);
    }
    if (writing.length === 0) return again;
    const written = await this.store.appendMany(writing.map(appendOf));
    writing.forEach((one, index) => {
      const result = written[index];
      if (result?.kind !== 'appended') {
        if (result?.kind === 'refused') fail(one.asked, result.error, results);
        else again.push(one);
        return;
      }
      const { known } = one.run;
      // The store may have recognised a twin's events, whose content need not be ours to the last instant: they are read.
      const mayBeTwins = !result.isNew && one.asked.some(({ envelope }) => envelope.mayBeRepeat);
      if (!mayBeTwins && one.plan.facts) {
        const { leftOut = 0 } = known ?? {};
        this.runs.remember(one.runId, {
          facts: one.plan.facts,
          position: result.position,
          leftOut,
          behind: false,
        });
      } else if (known) this.runs.remember(one.runId, { ...known, behind: true });
      else this.runs.forget(one.runId);
      answer(one, result.position, results);
    });
    return again;
  }

  /** Runs `work` when no other work on any of the runs is under way, in the order of arrival. */
  private async inTurn(runIds: readonly string[], work: () => Promise<void>): Promise<void> {
    // Every place is taken in this one step, so no two callers can wait for each other.
    const earlier = Promise.all(runIds.map((runId) => this.turns.get(runId) ?? Promise.resolve()));
    const mine = earlier.then(work);
    const turn = mine.catch(() => undefined);
    for (const runId of runIds) this.turns.set(runId, turn);
    try {
      await mine;
    } finally {
      for (const runId of runIds) if (this.turns.get(runId) === turn) this.turns.delete(runId);
    }
  }
}

function firstLook(asked: readonly Asked[]): Freshness {
  return asked[0]?.envelope.command.kind === 'queue' ? 'new' : 'cached';
}

function appendOf({ runId, run, plan }: Planned): Append {
  const expectedRevision = run.known ? run.known.facts.version - 1 : 'no_stream';
  return { streamId: streamOf(runId), expectedRevision, events: plan.events };
}

function answer({ asked, plan }: Planned, position: Position, results: (CommandResult | Failed)[]): void {
  plan.answers.forEach((answerAt, nth) => (results[asked[nth]!.index] = answerAt(position)));
}

function fail(asked: readonly Asked[], error: Error, results: (CommandResult | Failed)[]): void {
  for (const { index, envelope } of asked) results[index] = { kind: 'failed', runId: envelope.runId, error };
}
