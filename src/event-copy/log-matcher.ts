import type { StoredEvent } from '../events/operation-run-events';
import { EventCopyError } from './copy-error';
import { createLogDigests, sameDigest } from './log-digests';
import type { LogDigests } from './log-digests';

/** Holds a log against what is known of another, stream by stream, as its events pass. */
export interface LogMatcher {
  /** `more` says that the other log does not have this event. Throws EventCopyError naming a stream that differs. */
  take(event: StoredEvent): 'same' | 'more';
  /** Whether all of the other log was met. */
  isComplete(): boolean;
  /** Whether an event of the other log was met. */
  has(event: StoredEvent): boolean;
  readonly passed: LogDigests;
}

/** `log` is the one whose events pass, `otherLog` the one that `other` was made from. */
export function createLogMatcher(log: string, otherLog: string, other: LogDigests): LogMatcher {
  const passed = createLogDigests(log);
  let complete = 0;
  return {
    passed,
    take(event) {
      const wanted = other.get(event.streamId);
      if (!wanted || event.revision >= wanted[0]) return 'more';
      const found = passed.add(event);
      if (found[0] < wanted[0]) return 'same';
      if (!sameDigest(found, wanted))
        throw new EventCopyError(
          `stream ${event.streamId} differs: the first ${wanted[0]} events in ${log} have another digest than in ` +
            `${otherLog} (ids, types, data or metadata). One log is no copy of the other; copy into an empty one`,
        );
      complete += 1;
      return 'same';
    },
    isComplete: () => complete === other.streams,
    has: ({ streamId, revision }) => revision < (passed.get(streamId)?.[0] ?? 0),
  };
}
