import { LogClient } from '../../src/event-store/eventstoredb-client';
import { createConnection } from '../../src/event-store/eventstoredb-connection';
import { parseConnectionString } from '../../src/event-store/eventstoredb-connection-string';

describe('the client of a connection', () => {
  let now = 0;
  // Connects at its first call, and none is made here.
  const connection = createConnection(
    () => new LogClient(parseConnectionString('esdb://127.0.0.1:1?tls=false'), 'leader'),
  );
  beforeAll(() => jest.spyOn(performance, 'now').mockImplementation(() => now));
  afterAll(async () => {
    jest.restoreAllMocks();
    await connection.close();
  });

  it('is kept when many calls fail together, and given up when one after the other does', () => {
    const client = connection.client();
    now = 1_000;
    for (let call = 0; call < 40; call++) connection.failed(client, 900 + call);
    expect(connection.client() === client).toBe(true);
    for (const begunAt of [1_100, 1_200]) {
      now = begunAt + 50;
      connection.failed(client, begunAt);
    }
    expect(connection.client() === client).toBe(false);
  });

  it('is kept when a call succeeds between those that fail', () => {
    const client = connection.client();
    for (let failures = 0; failures < 5; failures++) {
      now += 1_000;
      connection.failed(client, now - 50);
      connection.worked(client);
    }
    expect(connection.client() === client).toBe(true);
  });
});
