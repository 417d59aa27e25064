import type { LoggerService } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { pino } from 'pino';
import type { DestinationStream, Level, Logger } from 'pino';

const SECRET = ['authorization', '*.authorization', '*.headers.authorization', 'headers.authorization'];

/** The process's log: one JSON object per line, UTC. A bearer token that slips into an entry is blanked. */
export function createLogger(
  { level = 'info' }: { readonly level?: string } = {},
  destination?: DestinationStream,
): Logger {
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    redact: { paths: SECRET, censor: '[redacted]' },
    serializers: { err: errorEntry },
  };
  return destination ? pino(options, destination) : pino(options);
}

/** `pg` hangs the whole broken connection on its errors, with the key by which its statements can be cancelled. */
function errorEntry(error: unknown): unknown {
  const entry: unknown = pino.stdSerializers.err(error as Error);
  if (typeof entry !== 'object' || entry === null || !('client' in entry)) return entry;
  const { client: _client, ...rest } = entry;
  return rest;
}

/** Paths that machines ask for every few seconds. */
const ROUTINE = /^\/(health|metrics)(\/|$)/;

/** One line per answered request. The query is left out: cursors and filters are long and the route says what ran. */
export function logRequest(request: FastifyRequest, reply: FastifyReply): void {
  const path = request.url.split('?', 1)[0] ?? '';
  const { runId } = (request.params ?? {}) as { runId?: string };
  const { statusCode } = reply;
  // Not ready is no error of ours, and the first line of it was the cause's.
  const level =
    statusCode === 503 ? 'warn' : statusCode >= 500 ? 'error' : ROUTINE.test(path) ? 'debug' : 'info';
  request.log[level](
    {
      method: request.method,
      path,
      route: request.is404 ? null : request.routeOptions.url,
      ...(runId !== undefined && { runId }),
      status: reply.statusCode,
      durationMs: Math.round(reply.elapsedTime * 10) / 10,
    },
    'request answered',
  );
}

/** What Nest says of each module and route at every start. */
const STARTUP_CONTEXTS = new Set<unknown>([
  'NestFactory',
  'InstanceLoader',
  'RoutesResolver',
  'RouterExplorer',
]);

/** Nest's own log, written to ours. */
export class NestLogger implements LoggerService {
  constructor(private readonly logger: Logger) {}

  log(message: unknown, ...rest: readonly unknown[]): void {
    this.write(STARTUP_CONTEXTS.has(rest.at(-1)) ? 'debug' : 'info', message, rest);
  }

  debug(message: unknown, ...rest: readonly unknown[]): void {
    this.write('debug', message, rest);
  }

  verbose(message: unknown, ...rest: readonly unknown[]): void {
    this.write('trace', message, rest);
  }

  warn(message: unknown, ...rest: readonly unknown[]): void {
    this.write('warn', message, rest);
  }

  error(message: unknown, ...rest: readonly unknown[]): void {
    this.write('error', message, rest);
  }

  fatal(message: unknown, ...rest: readonly unknown[]): void {
    this.write('fatal', message, rest);
  }

  /** Nest passes `(message, ...more, context)`, and for an error its stack before the context. */
  private write(level: Level, message: unknown, rest: readonly unknown[]): void {
    const context = rest.at(-1);
    const details = rest.slice(0, -1).filter((one) => one !== undefined);
    const fields = {
      ...(typeof context === 'string' && { context }),
      ...(details.length > 0 && { details }),
      ...(message instanceof Error && { err: message }),
    };
    this.logger[level](fields, message instanceof Error ? message.message : textOf(message));
  }
}

function textOf(message: unknown): string {
  return typeof message === 'string' ? message : JSON.stringify(message);
}
