import type { StoredEvent } from '../events/operation-run-events';

/** Puts the events of another log into this one, with their ids and revisions. */
export interface LogWriter {
  /** Takes events in the order of their log. They may be under way for a while after it resolves. */
  write(events: readonly StoredEvent[]): Promise<void>;
  /** Resolves when all that was taken is in the log. */
  flush(): Promise<void>;
  /** Waits for what is under way, whatever comes of it, and releases the log for other writers. */
  close(): Promise<void>;
}

/** Somebody else writes to the log. */
export class LogOccupiedError extends Error {
  override readonly name = 'LogOccupiedError';
}
