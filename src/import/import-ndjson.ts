import { randomUUID } from 'node:crypto';
import { stat } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { itemEnvelope } from '../commands/batch-item';
import { uuidOf } from '../commands/command-ids';
import type { CommandEnvelope, CommandResult, Failed } from '../commands/command-result';
import { RunCommandExecutor } from '../commands/run-command-executor';
import type { Judge } from '../domain/classification';
import type { Discards } from '../commands/run-loader';
import { micros } from '../events/instant';
import type { Clock } from '../events/instant';
import type { EventStore } from '../event-store/event-store';
import { Problem } from '../http/problem';
import { createDigestTable } from '../tools/digest-table';
import { BrokenFileError, contentOf, readLines } from './file-lines';
import type { Line } from './file-lines';
import { ImportError } from './import-error';
import type { ImportProgress } from './import-progress';
import type { ImportTally } from './import-report';
import { originOf } from './row-fields';
import { COUNTED_STATES, stateOf } from './run-story';

export interface NdjsonImport {
  /** A file's path, or `-` for `input`. */
  readonly ndjson: string;
  readonly input: Readable;
  /** What rejects and the log call the source. */
  readonly dataset: string;
  readonly store: EventStore;
  readonly judge: Judge;
  readonly discards: Discards;
  readonly clock: Clock;
  readonly tally: ImportTally;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: ImportProgress) => void;
  readonly chunkSize: number;
}

interface Asked {
  readonly line: Line;
  readonly envelope: CommandEnvelope;
}

/**
 * Carries out one live command a line, in order. Repeatable: a line that names no `commandId` is known by its text and
 * by how many equal lines came before it, so the same file again adds nothing, except heartbeats of now on standard
 * input. A line that was refused is tried again.
 * True when it came to the end of the lines.
 */
export async function importNdjson(source: NdjsonImport): Promise<boolean> {
  const { tally, signal } = source;
  const executor = new RunCommandExecutor({
    store: source.store,
    judge: () => source.judge,
    discards: source.discards,
  });
  const asCommand = commandReader(source);
  const settle = settler(source);
  const progress = { bytesDone: 0, commandsDone: 0 };
  const { content, bytesTotal } = await contentFrom(source);
  const live = source.ndjson === '-';
  tally.files = 1;

  const execute = async (asked: readonly Asked[]) => {
    const results = await executor.executeMany(asked.map(({ envelope }) => envelope));
    results.forEach((result, index) => settle(result, asked[index]!));
    progress.commandsDone += asked.length;
    source.onProgress({
      phase: 'importing',
      ...progress,
      bytesTotal,
      commandsTotal: null,
      rowsDone: tally.eventRows,
      eventsAppended: tally.appended,
    });
  };

  let asked: Asked[] = [];
  try {
    for await (const lines of readLines(content, (bytes) => (progress.bytesDone += bytes))) {
      if (signal.aborted) return false;
      tally.eventRows += lines.length;
      for (const line of lines) {
        const envelope = asCommand(line);
        if (envelope) asked.push({ line, envelope });
      }
      // Whoever writes to our input may wait for the effect of these lines before sending more.
      if (asked.length < source.chunkSize && !live) continue;
      await execute(asked);
      asked = [];
    }
  } catch (error) {
    if (!(error instanceof BrokenFileError)) throw error;
    if (signal.aborted) return false;
    const reason = `the input cannot be read any further: ${error.cause.message}`;
    tally.reject(
      'unreadable_file',
      { file: source.ndjson, line: error.line, row: error.rest || null },
      reason,
    );
  }
  if (signal.aborted) return false;
  await execute(asked);
  return true;
}

async function contentFrom({ ndjson, input, signal }: NdjsonImport) {
  if (ndjson === '-') {
    // A read that waits for its writer knows nothing of the signal.
    signal.addEventListener('abort', () => input.destroy(), { once: true });
    return { content: input as AsyncIterable<Buffer>, bytesTotal: null };
  }
  try {
    const { size } = await stat(ndjson);
    return { content: contentOf(ndjson), bytesTotal: size };
  } catch (cause) {
    throw new ImportError(`cannot read ${ndjson}`, { cause });
  }
}

/** Reads a line as a command, or counts it among the rejects. */
function commandReader({
  ndjson,
  dataset,
  clock,
  tally,
}: NdjsonImport): (line: Line) => CommandEnvelope | null {
  const equalLines = createDigestTable();
  const sender = {
    actor: originOf(dataset),
    // The same command under another file's name is the same command.
    namesOf: 'import',
    plane: 'worker',
    correlationId: uuidOf('ndjson', dataset),
    mayBeRepeat: true,
  } as const;
  return (line) => {
    const [before] = equalLines.get(line.text) ?? [0];
    equalLines.set(line.text, [before + 1, 0]);
    try {
      if (line.flaw !== null) throw new SyntaxError(line.flaw);
      const item: unknown = JSON.parse(line.text);
      const commandId =
        ndjson === '-' && isHeartbeatOfNow(item) ? randomUUID() : uuidOf('line', line.text, String(before));
      return itemEnvelope(item, 0, { ...sender, commandId, now: clock.now() });
    } catch (error) {
      if (!(error instanceof Problem || error instanceof SyntaxError)) throw error;
      tally.reject('unreadable_row', { file: ndjson, line: line.line, row: line.text }, error.message);
      return null;
    }
  };
}

/** On standard input equal ones are beats of one heart, not one beat sent again. */
function isHeartbeatOfNow(item: unknown): boolean {
  if (typeof item !== 'object' || item === null) return false;
  return 'command' in item && item.command === 'progress' && !('occurredAt' in item);
}

/** Counts what lines came to. */
function settler({ ndjson, tally }: NdjsonImport): (result: CommandResult | Failed, asked: Asked) => void {
  const states = createDigestTable();
  return (result, { line, envelope }) => {
    const reject = (code: string, message: string) =>
      tally.reject(code, { file: ndjson, line: line.line, row: line.text }, `${code}: ${message}`);
    switch (result.kind) {
      case 'failed':
        return reject('failed', result.error.message);
      case 'rejected':
        return reject(result.rejection.code, result.rejection.message);
      case 'version_mismatch':
        // Lines name no version.
        throw new Error(`line ${line.line}: refused for a version it did not name`);
      case 'unchanged':
      case 'applied':
      case 'recorded_late': {
        if (result.repeat) tally.stored++;
        else if (result.kind === 'unchanged') tally.unchanged++;
        else tally.appended += result.eventTypes.length;
        if (result.kind !== 'unchanged') tally.happenedAt(micros(envelope.command.at));
        const [known] = states.get(result.runId) ?? [];
        const state = stateOf(result);
        tally.moveRun(known === undefined ? null : COUNTED_STATES[known]!, state);
        states.set(result.runId, [COUNTED_STATES.indexOf(state), 0]);
      }
    }
  };
}
