import type { Failure } from '../events/operation-run-events';

/** A failure as a worker reports it: any length, any characters. */
export interface ReportedFailure {
  readonly code: string;
  readonly message: string;
  readonly count: number;
}

const MAX_ENTRIES = 20;
const MAX_MESSAGE = 500;
const MAX_CODE = 100;
/** Masking looks at this much of a message: far more than is kept, far less than a worker may send. */
const MAX_SEARCHED = 8_000;

/**
 * What is kept of a worker's failures: never refused, always bounded, without control characters and without what
 * looks like a credential. At most 20 entries; from the 20th on they are one, `more`, with their counts together.
 */
export function sanitiseFailures(reported: readonly ReportedFailure[]): Failure[] {
  const kept = reported.length > MAX_ENTRIES ? MAX_ENTRIES - 1 : MAX_ENTRIES;
  const failures = reported.slice(0, kept).map(sanitise);
  const rest = reported.slice(kept);
  if (rest.length === 0) return failures;
  const count = rest.reduce((sum, failure) => Math.min(sum + failure.count, Number.MAX_SAFE_INTEGER), 0);
  return [...failures, { code: 'more', message: `${rest.length} more`, count }];
}

function sanitise({ code, message, count }: ReportedFailure): Failure {
  return {
    code: sentence(code, MAX_CODE) || 'unknown',
    message: sentence(message, MAX_MESSAGE),
    count,
  };
}

/** What is kept of somebody's words: one line of at most `limit` UTF-16 units, whole characters, no credentials. */
export function sentence(words: string, limit: number): string {
  // Masked before it is cut: a secret must not survive as the half that was kept.
  return cut(maskSecrets(onOneLine(words.slice(0, MAX_SEARCHED))), limit);
}

/** Control characters and lone halves of surrogate pairs go: PostgreSQL stores neither in every type. */
function onOneLine(text: string): string {
  return text
    .replace(/[\p{Cc}\p{Zl}\p{Zp}\s]+/gu, ' ')
    .replace(/\p{Cs}/gu, '\ufffd')
    .trim();
}

/** At most `limit` UTF-16 units, never ending in half a character. */
function cut(text: string, limit: number): string {
  if (text.length <= limit) return text;
  return `${text.slice(0, limit - 1).replace(/[\ud800-\udbff]$/, '')}…`;
}

const NAME =
  'password|passwd|passphrase|pwd|secret|token|api[_ -]?key|access[_ -]?key|private[_ -]?key|credentials?';
const VALUE = String.raw`"[^"]*"?|'[^']*'?|[^\s,;&"']+`;

/**
 * Obvious secrets, by the name before them or by their own form. Names stay, so that the message still explains.
 * Every repetition before a fixed text is bounded: a worker's message must not cost seconds.
 */
const SECRETS: readonly (readonly [RegExp, string])[] = [
  [
    /-----BEGIN [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----|$)/gs,
    '***',
  ],
  // With a digit, padding or mixed case: `Basic checks` is no credential.
  [/\b([Bb]earer|BEARER|[Bb]asic|BASIC)\s+(?=[\w.~+/-]*(?:[\d=]|[a-z][A-Z]))[\w.~+/=-]{6,}/g, '$1 ***'],
  [/([a-z][a-z0-9+.-]{0,30}:\/\/[^\s:/@]{0,200}):[^\s/@]{1,500}@/gi, '$1:***@'],
  [new RegExp(String.raw`(${NAME})(["']?\s*[:=]\s*)(?:${VALUE})`, 'gi'), '$1$2***'],
  [/\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?/g, '***'],
  [/\b(?:AKIA|ASIA)[A-Z0-9]{16}\b/g, '***'],
  [/\b(?:gh[pousr]_|github_pat_|xox[abprs]-|sk_live_|sk-)[\w-]{16,}/g, '***'],
];

export function maskSecrets(message: string): string {
  return SECRETS.reduce((text, [pattern, mask]) => text.replace(pattern, mask), message);
}
