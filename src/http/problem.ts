import { z } from 'zod';

/** Every refusal this service knows: its HTTP status and its words for a person. The key is the `code`. */
export const PROBLEMS = {
  invalid_request: [400, 'The request is not valid'],
  invalid_cursor: [400, 'The cursor is not one of this service'],
  cursor_of_another_filter: [400, 'The cursor belongs to another list or filter'],
  unauthenticated: [401, 'A valid bearer token is required'],
  wrong_plane: [403, 'The token is for another plane'],
  missing_capability: [403, 'The token lacks a capability'],
  forbidden: [403, 'Not allowed'],
  not_found: [404, 'Not found'],
  run_not_found: [404, 'No such operation run'],
  route_not_found: [404, 'No such path'],
  method_not_allowed: [405, 'The path does not take this method'],
  request_timeout: [408, 'The request did not come to its end in time'],
  conflict: [409, 'The request conflicts with the present state'],
  run_already_exists: [409, 'The operation run exists already'],
  illegal_transition: [409, 'The run cannot do this in its present state'],
  not_stale: [409, 'The run is not stale'],
  not_due: [409, 'The run is not due to be reconciled'],
  nothing_to_follow_up: [409, 'The run has no problem to follow up'],
  not_retryable: [409, 'Runs of this type cannot be retried'],
  successor_active: [409, 'A successor of the run is active already'],
  wrong_state: [409, 'The generation cannot do this in its present state'],
  replay_under_way: [409, 'Another replay is under way'],
  not_caught_up: [409, 'The generation is behind the live one'],
  cutover_refused: [409, 'The cutover changes more than it may'],
  precondition_failed: [412, 'The run has changed since it was read'],
  payload_too_large: [413, 'The body is too large'],
  url_too_long: [414, 'The URL is too long'],
  unsupported_media_type: [415, 'The body is not of the media type application/json'],
  reason_required: [422, 'A reason is required'],
  idempotency_key_reused: [422, 'The idempotency key was used for another request'],
  unprocessable: [422, 'The request cannot be processed'],
  too_many_requests: [429, 'Too many requests'],
  headers_too_large: [431, 'The address and the headers are too large'],
  internal: [500, 'Something went wrong on our side'],
  position_not_reached: [503, 'The read side has not reached the position asked for'],
  run_unreadable: [503, 'An event of the run cannot be read'],
  run_discarded: [410, 'The run was discarded by an operator'],
  not_ready: [503, 'The service is not ready'],
} as const satisfies Record<string, readonly [status: number, title: string]>;

export type ProblemCode = keyof typeof PROBLEMS;

export interface FieldError {
  /** Dotted path of the field; empty for the whole. */
  readonly path: string;
  readonly message: string;
}

export interface ProblemDetails {
  readonly detail?: string;
  /** Further members of the answer, beside the standard ones. */
  readonly members?: Readonly<Record<string, unknown>>;
  readonly headers?: Readonly<Record<string, string>>;
  /** For the log, never for the answer. */
  readonly cause?: unknown;
}

/** A refusal as RFC 9457 tells it. Thrown anywhere below a controller; the problem filter answers it. */
export class Problem extends Error {
  override readonly name = 'Problem';
  readonly status: number;
  readonly title: string;
  readonly detail: string | undefined;
  readonly members: Readonly<Record<string, unknown>>;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    readonly code: ProblemCode,
    { detail, members = {}, headers = {}, cause }: ProblemDetails = {},
  ) {
    const [status, title] = PROBLEMS[code];
    super(detail ?? title, cause === undefined ? undefined : { cause });
    this.status = status;
    this.title = title;
    this.detail = detail;
    this.members = members;
    this.headers = headers;
  }

  static invalidRequest(errors: readonly FieldError[]): Problem {
    const detail = errors.map(({ path, message }) => (path ? `${path}: ${message}` : message)).join('; ');
    return new Problem('invalid_request', { detail, members: { errors } });
  }

  static unauthenticated(detail: string, challenge = 'Bearer'): Problem {
    return new Problem('unauthenticated', { detail, headers: { 'www-authenticate': challenge } });
  }

  static wrongPlane(given: string, wanted: readonly string[], what = 'this'): Problem {
    return new Problem('wrong_plane', {
      detail: `the token is for the ${given} plane, ${what} needs the ${wanted.join(' or ')} plane`,
    });
  }

  static missingCapability(capability: string): Problem {
    return new Problem('missing_capability', {
      detail: `this needs the capability ${capability}`,
      members: { capability },
    });
  }

  /** Also the answer for whatever is out of scope: the two must not be told apart. */
  static notFound(detail?: string): Problem {
    return new Problem('not_found', detail === undefined ? {} : { detail });
  }

  static preconditionFailed(currentVersion: number, at: { readonly position?: string } = {}): Problem {
    return new Problem('precondition_failed', {
      // The ETag of a page is over its content: whoever has sent that has to learn what to send instead.
      detail: `the run is at version ${currentVersion}; If-Match takes a version in quotes, as a command's ETag or \`data.version\` gave it`,
      members: { currentVersion, ...at },
    });
  }

  static reasonRequired(detail: string): Problem {
    return new Problem('reason_required', { detail });
  }

  /** `minPosition` has not arrived within the wait: asking again is right, and then the answer is likely there. */
  static positionNotReached(minPosition: string, position: string, retryAfterSeconds = 1): Problem {
    return new Problem('position_not_reached', {
      detail: `the read side is at ${position}, before ${minPosition}`,
      members: { minPosition, position },
      headers: { 'retry-after': String(retryAfterSeconds) },
    });
  }

  static notReady(detail: string, more: Omit<ProblemDetails, 'detail'> = {}): Problem {
    return new Problem('not_ready', { detail, ...more, headers: { 'retry-after': '1', ...more.headers } });
  }

  static idempotencyKeyReused(key: string): Problem {
    return new Problem('idempotency_key_reused', {
      detail: `the key ${JSON.stringify(key)} was first used with a different request`,
    });
  }
}

/** The answer's body. `instance` is the request's id, as the logs have it. */
export const problemBodySchema = z
  .looseObject({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    code: z.enum(Object.keys(PROBLEMS) as [ProblemCode, ...ProblemCode[]]),
    detail: z.string().optional(),
    instance: z.string(),
    errors: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
    allowedActions: z.array(z.string()).optional(),
    currentVersion: z.int().optional(),
    position: z.string().optional(),
    objections: z.array(z.string()).optional(),
  })
  .meta({ id: 'Problem' });
export type ProblemBody = z.infer<typeof problemBodySchema>;

export function problemBody(problem: Problem, requestId: string): ProblemBody {
  return {
    type: `urn:opstruth:problem:${problem.code}`,
    title: problem.title,
    status: problem.status,
    code: problem.code,
    ...(problem.detail !== undefined && { detail: problem.detail }),
    instance: requestId,
    ...problem.members,
  };
}

/** For a code that was stored as a text, such as the one in an answer kept under an idempotency key. */
export function isProblemCode(code: string): code is ProblemCode {
  return Object.hasOwn(PROBLEMS, code);
}
