import { START, formatPosition } from '../events/position';
import type { Position } from '../events/position';
import { EventCopyError } from './copy-error';
import type { CopyLog } from './copy-log';
import { createLogDigests } from './log-digests';
import type { LogDigests } from './log-digests';
import { createLogMatcher } from './log-matcher';
import type { LogMatcher } from './log-matcher';
import { scanLog } from './log-scan';

export interface CopyOptions {
  readonly source: CopyLog;
  readonly target: CopyLog;
  /** Appends under way at once, where the target takes them one by one; 1 keeps the order of all events exactly. */
  readonly inFlight: number;
  readonly signal: AbortSignal;
  readonly onProgress?: (progress: CopyProgress) => void;
}

/** `total` is a guess while it is not known; null before there is anything to guess from. */
export interface CopyProgress {
  readonly phase:
    | 'looking at the target'
    | 'comparing'
    | 'copying'
    | 'reading the source'
    | 'reading the target';
  readonly done: number;
  readonly total: number | null;
}

export interface Copied {
  /** Events that this call wrote; the others of the source were there. */
  readonly copied: number;
  readonly verified: Verified;
}

/** Both logs hold so many events in so many streams, each stream with the same digest. */
export interface Verified {
  readonly events: number;
  readonly streams: number;
  readonly digest: string;
  /** Whether all events lie in the same order; else only those of each stream do. */
  readonly sameOrder: boolean;
  /** Where the source ended. What came later is for the next call. */
  readonly position: string;
}

interface Copying extends CopyOptions {
  readonly end: Position;
  readonly sourceTotal: number | null;
}

/**
 * Brings the target to where the source is now, going on from whatever an earlier call has left, and reads both again
 * to verify it. Nothing is written unless the target holds a prefix of the source. Throws EventCopyError, and what the
 * signal was aborted with; the next call goes on from there.
 */
export async function copyEvents(options: CopyOptions): Promise<Copied> {
  const { source, target, inFlight } = options;
  const copying = { ...options, end: await source.end(), sourceTotal: await source.count() };
  const writer = await target.openWriter({ inFlight });
  try {
    const held = createLogDigests(target.name);
    const targetEnd = await target.end();
    await pass(
      copying,
      'looking at the target',
      target,
      { to: targetEnd, total: await target.count() },
      (event) => held.add(event),
    );
    const from = await firstMissing(copying, held, targetEnd);
    let copied = 0;
    const total = copying.sourceTotal === null ? null : Math.max(0, copying.sourceTotal - held.events);
    for await (const batch of scanLog(source, from, copying.end, copying.signal)) {
      const missing = batch.filter(({ streamId, revision }) => revision >= (held.get(streamId)?.[0] ?? 0));
      for (const event of missing) held.add(event);
      await writer.write(missing);
      copied += missing.length;
      const share = shareOf(from, batch.at(-1)!.position, copying.end);
      options.onProgress?.({ phase: 'copying', done: copied, total: total ?? Math.round(copied / share) });
    }
    await writer.flush();
    return { copied, verified: await verify(copying) };
  } finally {
    await writer.close();
  }
}

/** Where the copying has to begin. Throws EventCopyError unless all of the target is in the source. */
async function firstMissing(copying: Copying, held: LogDigests, targetEnd: Position): Promise<Position> {
  const { source, target, end } = copying;
  const matcher = createLogMatcher(source.name, target.name, held);
  let before = START;
  let first: Position | null = null;
  if (!matcher.isComplete())
    await pass(copying, 'comparing', source, { to: end, total: held.events }, (event) => {
      // Appends of a copy that was killed lie in the target with gaps between them.
      if (matcher.take(event) === 'more') first ??= before;
      before = event.position;
      return !matcher.isComplete();
    });
  if (!matcher.isComplete()) throw await foreign(copying, target, targetEnd, source, matcher);
  return first ?? before;
}

async function verify(copying: Copying): Promise<Verified> {
  const { source, target, end } = copying;
  const expected = createLogDigests(source.name);
  await pass(copying, 'reading the source', source, { to: end, total: copying.sourceTotal }, (event) =>
    expected.add(event),
  );
  const matcher = createLogMatcher(target.name, source.name, expected);
  await pass(
    copying,
    'reading the target',
    target,
    { to: await target.end(), total: expected.events },
    (event) => {
      if (matcher.take(event) === 'more')
        throw new EventCopyError(
          `stream ${event.streamId} differs: revision ${event.revision} in ${target.name} is not in ${source.name}. ` +
            'Another process appended to it meanwhile: it is no copy any more',
        );
    },
  );
  if (!matcher.isComplete()) throw await foreign(copying, source, end, target, matcher);
  const { passed } = matcher;
  return {
    events: passed.events,
    streams: passed.streams,
    digest: passed.ofAllStreams(),
    sameOrder: passed.ofOrder() === expected.ofOrder(),
    position: formatPosition(end),
  };
}

/** Reads `log` again for the first stream of which the other log has less: digests alone have no names. */
async function foreign(
  { signal }: Copying,
  log: CopyLog,
  to: Position,
  other: CopyLog,
  matcher: LogMatcher,
): Promise<EventCopyError> {
  for await (const batch of scanLog(log, START, to, signal)) {
    const missing = batch.find((event) => !matcher.has(event));
    if (missing)
      return new EventCopyError(
        `stream ${missing.streamId} differs: revision ${missing.revision} in ${log.name} is not in ${other.name}. ` +
          'A copy goes into an empty log, or into one that holds nothing but a part of the same history',
      );
  }
  return new EventCopyError(`${log.name} has changed while it was read: stop whoever writes to it`);
}

/** Gives each event up to `to` to `take`, until that answers false. */
async function pass(
  { signal, onProgress }: Copying,
  phase: CopyProgress['phase'],
  log: CopyLog,
  { to, total }: { readonly to: Position; readonly total: number | null },
  take: (event: Parameters<LogDigests['add']>[0]) => unknown,
): Promise<void> {
  let done = 0;
  for await (const batch of scanLog(log, START, to, signal)) {
    if (batch.some((event) => take(event) === false)) return;
    done += batch.length;
    onProgress?.({
      phase,
      done,
      total: total ?? Math.round(done / shareOf(START, batch.at(-1)!.position, to)),
    });
  }
}

/** How much of the way lies behind: positions of EventStoreDB are bytes, which is good enough to guess a total from. */
function shareOf(from: Position, at: Position, to: Position): number {
  return Number(at.commit - from.commit + 1n) / Number(to.commit - from.commit + 1n);
}
