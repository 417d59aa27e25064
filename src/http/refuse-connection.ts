import { randomUUID } from 'node:crypto';
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { Logger } from 'pino';
import { Problem, problemBody } from './problem';

/** Answers what cannot be read as HTTP, as any other refusal is answered, and ends the connection. */
export function refuseConnections(logger: Logger) {
  return (error: NodeJS.ErrnoException, socket: Socket): void => {
    if (error.code === 'ECONNRESET' || socket.destroyed) return;
    // In the middle of another answer these bytes would be that one's, and it might be of a command that is carried out.
    if (!socket.writable || isAnswering(socket)) return void socket.destroy();
    const problem = problemOf(error);
    const reqId = randomUUID();
    logger.info({ reqId, status: problem.status, err: error }, 'connection refused: it does not speak HTTP');
    const body = JSON.stringify(problemBody(problem, reqId));
    const head = [
      `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}`,
      'content-type: application/problem+json; charset=utf-8',
      'cache-control: no-store',
      'x-content-type-options: nosniff',
      `x-request-id: ${reqId}`,
      `content-length: ${Buffer.byteLength(body)}`,
      'connection: close',
    ];
    socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy());
  };
}

/** Node keeps the answer under way on its socket, and looks there itself where nobody handles such errors. */
function isAnswering(socket: Socket): boolean {
  return Boolean((socket as Socket & { readonly _httpMessage?: unknown })._httpMessage);
}

function problemOf({ code, message }: NodeJS.ErrnoException): Problem {
  if (code === 'HPE_HEADER_OVERFLOW')
    return new Problem('headers_too_large', { detail: 'the address and the headers have 16 KiB at most' });
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return new Problem('request_timeout');
  return Problem.invalidRequest([{ path: '', message: `this is not HTTP: ${message}` }]);
}
