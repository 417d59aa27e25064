import { Agent, request } from 'node:http';
import { mintToken } from '../src/auth/mint-token';
import { CAPABILITIES } from '../src/auth/principal';
import type { Plane } from '../src/auth/principal';
import { systemClock } from '../src/events/instant';

/** An answer that is not a 2xx. */
export class RefusedRequestError extends Error {
  override readonly name = 'RefusedRequestError';

  constructor(
    request: string,
    readonly status: number,
    readonly body: string,
  ) {
    super(`${request} was answered ${status}: ${body.slice(0, 500)}`);
  }
}

export interface HttpClient {
  /** The body of a 2xx answer. Throws RefusedRequestError on any other: a refused request measures nothing. */
  get(path: string): Promise<string>;
  post(path: string, body: unknown): Promise<string>;
  close(): void;
}

/** Node's own client over kept-alive connections: what it costs is little beside the server's work. */
export function createHttpClient(url: string, token: string, maxSockets: number): HttpClient {
  const agent = new Agent({ keepAlive: true, maxSockets });
  const { hostname, port } = new URL(url);
  const send = (method: string, path: string, body?: string) =>
    new Promise<string>((resolve, reject) => {
      const headers = {
        authorization: `Bearer ${token}`,
        ...(body !== undefined && {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
        }),
      };
      const sent = request({ agent, hostname, port, method, path, headers }, (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.on('error', reject);
        answer.on('end', () => {
          const text = Buffer.concat(chunks).toString();
          const status = answer.statusCode ?? 0;
          if (status >= 200 && status < 300) resolve(text);
          else reject(new RefusedRequestError(`${method} ${path}`, status, text));
        });
      });
      sent.on('error', reject);
      sent.end(body);
    });
  return {
    get: (path) => send('GET', path),
    post: (path, body) => send('POST', path, JSON.stringify(body)),
    close: () => agent.destroy(),
  };
}

/** For the servers of a benchmark alone, which nobody else can reach before they are gone. */
export const BENCH_SECRET = 'a secret for benchmarks and nothing else';

/** A token that may see and do everything on its plane. */
export function benchToken(plane: Plane): Promise<string> {
  return mintToken({
    secret: BENCH_SECRET,
    subject: 'bench',
    plane,
    ...(plane === 'admin' && { workspaces: '*' as const }),
    capabilities: CAPABILITIES[plane],
    ttlSeconds: 86_400,
    now: systemClock.now(),
  });
}
