import { loadConfig } from '../../src/config';
import { GenerationMismatchError } from '../../src/projector/generations';
import { openRuntime } from '../../src/runtime/runtime';
import { createTestDatabase } from '../support/database';
import type { TestDatabase } from '../support/database';
import { StandInLog } from '../support/eventstoredb-stand-in-log';
import { expectAppended, newEvents, newStream } from './event-store-fixtures';
import { standInFixture } from './eventstoredb-fixtures';

const SECRET = 'hunter2';
const log = { info: () => undefined, warn: () => undefined, error: () => undefined };

describe('EVENT_STORE_URL', () => {
  const fixture = standInFixture();
  let database: TestDatabase;
  beforeEach(async () => (database = await createTestDatabase()));
  afterEach(() => database.close());

  const open = (url: string) =>
    openRuntime(
      loadConfig({ DATABASE_URL: database.url, EVENT_STORE_URL: url }, { requireAuth: false }),
      log,
    );

  it('puts the log into EventStoreDB, and nothing else', async () => {
    const runtime = await open(fixture.standIn.url.replace('esdb://', 'kurrentdb://'));
    const append = { streamId: newStream(), expectedRevision: 'no_stream' as const, events: newEvents(2) };
    const { position } = expectAppended(await runtime.store.append(append));
    expect(await fixture.store.tail()).toEqual(position);
    expect(runtime.generation).toMatchObject({ state: 'live', logIdentity: await fixture.store.identity() });
    const { rows } = await database.pool.query('select from opstruth.events');
    expect(rows).toEqual([]);
    await runtime.close();
  });

  it('is refused by read tables that were made from another log', async () => {
    await (await open(fixture.standIn.url)).close();
    fixture.standIn.log = new StandInLog();
    await expect(open(fixture.standIn.url)).rejects.toThrow(GenerationMismatchError);
  });

  it('is refused when it cannot be used, without repeating it', async () => {
    const opening = open(`esdb://admin:${SECRET}@host?tls=${SECRET}`);
    await expect(opening).rejects.toThrow(/EVENT_STORE_URL: tls must be true or false/);
    await expect(opening).rejects.not.toThrow(SECRET);
  });
});
