import { ErrorType, isCommandError } from '@eventstore/db-client';
import {
  EventStoreUnavailableError,
  EventTooLargeError,
  StreamGoneError,
  UnstorableEventError,
} from './event-store';

/** Nothing came back in time. Whether the server has done it is not known. */
export class NoAnswerError extends Error {
  override readonly name = 'NoAnswerError';
}

/** A subscription or append call ended without an error; by itself that says nothing about the log. */
export class CallEndedError extends Error {
  override readonly name = 'CallEndedError';
}

/** The server understood and said no; asking again would not help. */
export class EventStoreRefusedError extends Error {
  override readonly name = 'EventStoreRefusedError';
}

/** The log ends before the position a reader has reached: it was restored or wiped, and going on would skip events. */
export class PositionBeyondLogError extends Error {
  override readonly name = 'PositionBeyondLogError';
}

/** Under the same address there is another log than before. */
export class AnotherLogError extends Error {
  override readonly name = 'AnotherLogError';
}

const OURS_FATAL = [
  EventTooLargeError,
  UnstorableEventError,
  StreamGoneError,
  EventStoreRefusedError,
  EventStoreUnavailableError,
  PositionBeyondLogError,
  AnotherLogError,
  // Bugs: repeating them would hide them.
  TypeError,
  RangeError,
];

const TRANSIENT_TYPES: ReadonlySet<ErrorType> = new Set([
  ErrorType.UNAVAILABLE,
  ErrorType.CANCELLED,
  ErrorType.TIMEOUT,
  ErrorType.DEADLINE_EXCEEDED,
  ErrorType.NOT_LEADER,
]);

/** gRPC status codes of an error without a type of its own: invalid argument, permission denied, unimplemented, unauthenticated. */
const FATAL_CODES: ReadonlySet<number> = new Set([3, 7, 12, 16]);

/** Two words to a subscription and one to a read, which has no code of its own either. */
const INVALID_POSITION = /invalid ?position/i;

/**
 * Whether the same request may succeed later. A batch's "Server Is Busy" and "Server Is Not Ready" and a discovery that
 * gave up come without a type, so an unknown error is taken for transient unless it says otherwise.
 */
export function isTransient(error: unknown): boolean {
  if (OURS_FATAL.some((kind) => error instanceof kind)) return false;
  if (!isCommandError(error as Error)) return true;
  const { type, code, message } = error as Error & { type: ErrorType; code?: number };
  if (type !== ErrorType.UNKNOWN) return TRANSIENT_TYPES.has(type);
  return !FATAL_CODES.has(code ?? 0) && !INVALID_POSITION.test(message);
}

/** One word for an error, for counting: the client's type where it has one. */
export function errorType(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  return isCommandError(error) ? error.type : error.name;
}

/** The client's errors often have no message at all. */
export function describe(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message === '' ? errorType(error) : `${errorType(error)}: ${message}`;
}

/** What `work` comes to, or NoAnswerError after `ms`: the client itself waits for ever. */
export function within<T>(ms: number, what: string, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new NoAnswerError(`${what}: no answer within ${ms} ms`)), ms);
    void work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
