import type { NodePreference } from '@eventstore/db-client';

/** A connection string that cannot be used. The message never repeats any of it: it may hold a password. */
export class ConnectionStringError extends Error {
  override readonly name = 'ConnectionStringError';
}

/** What a connection string says. The client's own parser is not used: it prints the string when it warns. */
export interface ConnectionSettings {
  /** Ask the hosts who the cluster's members are, instead of taking the one host as it is. */
  readonly discover: boolean;
  readonly hosts: readonly { readonly address: string; readonly port: number }[];
  readonly credentials?: { readonly username: string; readonly password: string };
  readonly nodePreference: NodePreference;
  readonly tls: boolean;
  readonly tlsCaFile?: string;
  readonly userCertFile?: string;
  readonly userKeyFile?: string;
  /** Given to the client as they are. Times in ms, except gossipTimeout in seconds. */
  readonly client: Partial<Record<(typeof CLIENT_NUMBERS)[number], number>> & {
    readonly connectionName?: string;
  };
}

const DEFAULT_PORT = 2113;
const NODE_PREFERENCES: readonly NodePreference[] = ['leader', 'follower', 'read_only_replica', 'random'];
const CLIENT_NUMBERS = [
  'keepAliveInterval',
  'keepAliveTimeout',
  'defaultDeadline',
  'maxDiscoverAttempts',
  'discoveryInterval',
  'gossipTimeout',
] as const;
/** Known, and decided otherwise here: appends must throw, and certificates are always verified. */
const IGNORED = ['throwOnAppendFailure', 'tlsVerifyCert'] as const;
const OPTIONS = [
  ...CLIENT_NUMBERS,
  ...IGNORED,
  'connectionName',
  'nodePreference',
  'tls',
  'tlsCaFile',
  'userCertFile',
  'userKeyFile',
] as const;
type Option = (typeof OPTIONS)[number];

const SHAPE =
  /^(?:esdb|kurrentdb|kurrent|kdb)(\+discover)?:\/\/(?:([^:@/?]+):([^@/?]*)@)?([^@/?#]+)\/?(?:\?([^#]*))?$/;

/** Reads `esdb://`, `esdb+discover://` and their kurrentdb spellings. Throws ConnectionStringError. */
export function parseConnectionString(given: string): ConnectionSettings {
  const parts = SHAPE.exec(given.trim());
  if (!parts)
    throw new ConnectionStringError(
      'is no connection string of the form esdb://user:password@host:2113,host2:2113?option=value; ' +
        'percent-encode user and password',
    );
  const [, discover, username, password, hosts, query] = parts;
  const options = parseOptions(query ?? '');
  const listed = hosts!.split(',').map(parseHost);
  if (options.get('tlsVerifyCert') === 'false')
    throw new ConnectionStringError('tlsVerifyCert=false has no effect in this client; name a tlsCaFile');
  const files = ['tlsCaFile', 'userCertFile', 'userKeyFile'] as const;
  return {
    discover: discover !== undefined || listed.length > 1,
    hosts: listed,
    ...(username !== undefined && {
      credentials: { username: decode(username, 'the user'), password: decode(password!, 'the password') },
    }),
    nodePreference: parseNodePreference(options.get('nodePreference')),
    tls: parseBoolean('tls', options.get('tls') ?? 'true'),
    ...Object.fromEntries(files.flatMap((file) => (options.has(file) ? [[file, options.get(file)!]] : []))),
    client: {
      ...Object.fromEntries(
        CLIENT_NUMBERS.flatMap((name) =>
          options.has(name) ? [[name, parseInteger(name, options.get(name)!)]] : [],
        ),
      ),
      ...(options.has('connectionName') && { connectionName: options.get('connectionName')! }),
    },
  };
}

function parseHost(host: string): { address: string; port: number } {
  const [address, port = String(DEFAULT_PORT), ...rest] = host.trim().split(':');
  if (!address || rest.length > 0 || !/^\d{1,5}$/.test(port))
    throw new ConnectionStringError('names a host that is not host or host:port');
  return { address, port: Number(port) };
}

function parseOptions(query: string): Map<Option, string> {
  const byFlatName = new Map(OPTIONS.map((option) => [flat(option), option]));
  const options = new Map<Option, string>();
  for (const pair of query.split('&').filter(Boolean)) {
    const [name, ...value] = pair.split('=');
    const option = byFlatName.get(flat(name!));
    if (!option) throw new ConnectionStringError(`has an unknown option; known are ${OPTIONS.join(', ')}`);
    options.set(option, decode(value.join('='), option));
  }
  return options;
}

/** Option names may be written in any case, with or without separators. */
const flat = (name: string) => name.trim().toLowerCase().replace(/[_-]/g, '');

function decode(text: string, what: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new ConnectionStringError(`${what} is not percent-encoded as it should be`);
  }
}

function parseNodePreference(given = 'leader'): NodePreference {
  const known = NODE_PREFERENCES.find((preference) => flat(preference) === flat(given));
  if (!known) throw new ConnectionStringError(`nodePreference must be one of ${NODE_PREFERENCES.join(', ')}`);
  return known;
}

function parseBoolean(name: Option, given: string): boolean {
  if (given !== 'true' && given !== 'false') throw new ConnectionStringError(`${name} must be true or false`);
  return given === 'true';
}

function parseInteger(name: Option, given: string): number {
  if (!/^-?\d{1,9}$/.test(given)) throw new ConnectionStringError(`${name} must be a whole number`);
  return Number(given);
}
