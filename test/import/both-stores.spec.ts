import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeTrace } from '../../bench/trace-folder';
import type { EventStore } from '../../src/event-store/event-store';
import { runImport } from '../../src/import/run-import';
import { standInFixture } from '../contract/eventstoredb-fixtures';
import { createProjectionFixture, dumpWithoutPositions } from '../support/projection';
import type { ProjectionFixture } from '../support/projection';

describe('a trace imported into either event store', () => {
  const eventStoreDb = standInFixture();
  let fixture: ProjectionFixture;
  let dir: string;
  beforeEach(async () => {
    fixture = await createProjectionFixture();
    dir = await mkdtemp(join(tmpdir(), 'opstruth-both-stores-'));
  });
  afterEach(async () => {
    await fixture.close();
    await rm(dir, { recursive: true, force: true });
  });

  const importInto = (store: EventStore) =>
    runImport({
      store,
      judge: fixture.judge,
      dir: join(dir, 'trace'),
      rejectsPath: join(dir, 'rejects.ndjson'),
      chunkSize: 200,
    });

  it('makes the same surfaces, byte for byte apart from positions, and twice adds nothing', async () => {
    const { rows } = await writeTrace(join(dir, 'trace'), 600);
    const { store } = eventStoreDb;
    const { seconds: _, eventsPerSecond: __, ...report } = await importInto(fixture.store);
    expect(report.eventsAppended).toBe(rows);
    expect(await importInto(store)).toMatchObject(report);
    expect(await importInto(store)).toMatchObject({ eventsAppended: 0 });

    const other = await fixture.anotherGeneration();
    await fixture.catchUp();
    await fixture.catchUp(other, { store });
    const fromPostgres = await dumpWithoutPositions(fixture.pool, fixture.generation.schema);
    const fromEventStoreDb = await dumpWithoutPositions(fixture.pool, other.schema);
    expect(fromPostgres.run_facts!.length).toBeGreaterThan(100);
    expect(fromEventStoreDb).toEqual(fromPostgres);
  }, 120_000);
});
