import { ConfigError } from '../config';
import { isUnreachable } from '../db/database';
import { ReplayRefusedError } from '../replay/replays';
import { errorText } from './output';

/** Errors whose message is meant for the person at the terminal; of any other the stack is wanted. */
const SPOKEN = new Set([
  'ConfigError',
  'PolicyError',
  'PolicyFileError',
  'UnknownPolicyError',
  'TokenFlagError',
  'ImportError',
  'DatabaseUnreachableError',
  'SchemaNotCurrentError',
  'GenerationMismatchError',
  'OperatorBusyError',
  'ParkedLimitError',
  'CheckpointBeyondTailError',
  'EmbeddedPostgresError',
  'MigrationError',
  'EventCopyError',
  'LogOccupiedError',
  'EventStoreUnavailableError',
  'EventStoreRefusedError',
]);

/** Addresses that cannot be listened on are settings too: what is told of the calls that listening makes. */
const ADDRESS_CODES = new Set(['EADDRINUSE', 'EADDRNOTAVAIL', 'EACCES', 'ENOTFOUND']);
const ADDRESS_CALLS = new Set(['listen', 'bind', 'getaddrinfo']);

/**
 * Tells what ended a verb, in words where they are meant for people; a wrong setting ends with exit code 2. With --json
 * a refusal is told with its code and details.
 */
export function fail(error: unknown, json = false): void {
  process.stderr.write(errorText(json, wordsOf(error), factsOf(error)));
  process.exitCode = error instanceof ConfigError || isAddressError(error) ? 2 : 1;
}

function wordsOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (isAddressError(error)) return `PORT, HOST: cannot listen there: ${error.message}`;
  if (error instanceof ReplayRefusedError)
    return [error.message, ...error.details.map((one) => `  ${one}`)].join('\n');
  if (isUnreachable(error)) return `the database is not available at the moment: ${error.message}`;
  return SPOKEN.has(error.name) ? error.message : (error.stack ?? error.message);
}

function factsOf(error: unknown): object {
  return error instanceof ReplayRefusedError ? { code: error.code, details: error.details } : {};
}

function isAddressError(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { code = '', syscall = '' } = error as NodeJS.ErrnoException;
  return ADDRESS_CODES.has(code) && ADDRESS_CALLS.has(syscall);
}
