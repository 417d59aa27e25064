import { createEventStoreDbEventStore } from '../../src/event-store/eventstoredb-event-store';
import {
  ConnectionStringError,
  parseConnectionString,
} from '../../src/event-store/eventstoredb-connection-string';

const SECRET = 'hunter2';

describe('EventStoreDB connection string', () => {
  it('names hosts, credentials and options', () => {
    expect(parseConnectionString('esdb://localhost')).toEqual({
      discover: false,
      hosts: [{ address: 'localhost', port: 2113 }],
      nodePreference: 'leader',
      tls: true,
      client: {},
    });
    expect(
      parseConnectionString(
        'esdb://ad%40min:p%3Ass@a:1,b:2?tlsCAFile=/ca%20file.pem&node-preference=Follower&keepAliveInterval=20000' +
          '&connectionName=ops&gossipTimeout=3',
      ),
    ).toEqual({
      discover: true,
      hosts: [
        { address: 'a', port: 1 },
        { address: 'b', port: 2 },
      ],
      credentials: { username: 'ad@min', password: 'p:ss' },
      nodePreference: 'follower',
      tls: true,
      tlsCaFile: '/ca file.pem',
      client: { keepAliveInterval: 20_000, gossipTimeout: 3, connectionName: 'ops' },
    });
  });

  it.each(['esdb', 'kurrentdb'])('may begin with %s', (scheme) => {
    expect(parseConnectionString(`${scheme}://h:1?tls=false`)).toMatchObject({ discover: false, tls: false });
    expect(parseConnectionString(`${scheme}+discover://h:1/?tls=false`)).toMatchObject({ discover: true });
  });

  it.each([
    ['another scheme', `http://admin:${SECRET}@host`],
    ['a password that is not percent-encoded', `esdb://admin:${SECRET}/@host`],
    ['broken percent-encoding', `esdb://admin:${SECRET}%@host`],
    ['no host', `esdb://admin:${SECRET}@`],
    ['a port that is none', `esdb://admin:${SECRET}@host:port`],
    ['an unknown option', `esdb://admin:${SECRET}@host?${SECRET}=1`],
    ['an option that is no number', `esdb://admin:${SECRET}@host?gossipTimeout=${SECRET}`],
    ['an option that is no truth', `esdb://admin:${SECRET}@host?tls=${SECRET}`],
    ['an unknown node preference', `esdb://admin:${SECRET}@host?nodePreference=${SECRET}`],
    ['certificates that are not verified', `esdb://admin:${SECRET}@host?tlsVerifyCert=false`],
  ])('is refused with %s, and no part of it is told', (_, url) => {
    const printed = [
      jest.spyOn(console, 'warn').mockImplementation(),
      jest.spyOn(console, 'error').mockImplementation(),
    ];
    const open = () => createEventStoreDbEventStore({ url, onError: () => undefined });
    expect(open).toThrow(ConnectionStringError);
    expect(open).not.toThrow(SECRET);
    for (const spy of printed) {
      expect(spy).not.toHaveBeenCalled();
      spy.mockRestore();
    }
  });

  it('is in no error of a server that cannot be reached', async () => {
    const survived: Error[] = [];
    const store = createEventStoreDbEventStore({
      url: `esdb://admin:${SECRET}@127.0.0.1:1`,
      onError: (error) => survived.push(error),
      retryForMs: 50,
    });
    const error = await store.tail().catch((thrown: unknown) => thrown as Error);
    expect(error).toBeInstanceOf(Error);
    const told = [error, ...survived].map((one) => JSON.stringify(one, Object.getOwnPropertyNames(one)));
    expect(told.join()).not.toContain(SECRET);
    await store.close();
  });
});
