import { DEFAULT_REPLAY_EVENTS_TIMING, replayEvents } from '../../src/replay/replay-events';
import type { ReplayStatus } from '../../src/replay/replay-status';
import { bearer } from '../http/test-app';
import { createReplaysApp, READER } from './replays-app';
import type { ReplaysApp } from './replays-app';

const BUILDING: ReplayStatus = {
  id: 2,
  state: 'building',
  phase: 'loading',
  madeBy: 'full',
  classifierVersion: 1,
  policyVersion: 1,
  until: null,
  builtBy: 'test',
  unit: 'events',
  done: 0,
  total: 10,
  ratePerSecond: 1,
  etaSeconds: 10,
  elapsedSeconds: 1,
  startedAt: null,
  readyAt: null,
  requestedBy: null,
  reason: null,
  failure: null,
};

/** The events of a replay whose row is found like this at one look after the other. */
async function eventsOf(looks: (ReplayStatus | null)[], quietLooks = 2): Promise<string[]> {
  let look = 0;
  const events = replayEvents(
    () => Promise.resolve(looks[look++] ?? null),
    { everyMs: 0, quietLooks },
    new AbortController().signal,
  );
  const texts: string[] = [];
  for await (const text of events) texts.push(text);
  return texts;
}

const namesOf = (texts: readonly string[]) => texts.map((text) => text.split('\n', 1)[0]);

describe('the events of a replay', () => {
  test('are one per change of its row, a comment when long nothing changed, and a last one', async () => {
    const texts = await eventsOf([
      BUILDING,
      { ...BUILDING, elapsedSeconds: 2 },
      { ...BUILDING, done: 5 },
      { ...BUILDING, done: 5 },
      { ...BUILDING, done: 5 },
      { ...BUILDING, done: 5 },
      { ...BUILDING, done: 5, failure: 'disk full' },
      { ...BUILDING, done: 10, phase: 'indexing' },
      { ...BUILDING, done: 10, state: 'ready' },
      { ...BUILDING, done: 11, state: 'ready' },
    ]);
    expect(namesOf(texts)).toEqual([
      'event: progress',
      'event: progress',
      ': still building',
      'event: progress',
      'event: progress',
      'event: ready',
    ]);
    for (const text of texts) expect(text).toMatch(/^[^]+[^\n]\n\n$/);
    expect(JSON.parse(texts[1]!.split('\ndata: ')[1]!)).toMatchObject({ done: 5, total: 10 });
  });

  test('end by the state it is found in, or with the replay itself', async () => {
    expect(namesOf(await eventsOf([{ ...BUILDING, state: 'failed' }]))).toEqual(['event: failed']);
    for (const state of ['live', 'standby', 'retired'] as const)
      expect(namesOf(await eventsOf([{ ...BUILDING, state }]))).toEqual(['event: ended']);
    expect(await eventsOf([null])).toEqual([]);
  });

  test('are looked for about once a second', () => {
    expect(DEFAULT_REPLAY_EVENTS_TIMING).toEqual({ everyMs: 1_000, quietLooks: 15 });
  });
});

describe('over HTTP', () => {
  let app: ReplaysApp;
  let url: string;
  beforeAll(async () => {
    app = await createReplaysApp();
    await app.app.listen(0, '127.0.0.1');
    url = await app.app.getUrl();
  });
  afterAll(() => app.close());

  const open = async (id: number, signal?: AbortSignal, method = 'GET') =>
    fetch(`${url}/system/projections/replays/${id}/events`, {
      method,
      headers: await bearer(READER),
      ...(signal && { signal }),
    });
  /** How often replays are looked at: none once nobody listens. */
  async function looks<T>(work: () => Promise<T>): Promise<number> {
    const query = jest.spyOn(app.pool, 'query');
    try {
      await work();
      return query.mock.calls.length;
    } finally {
      query.mockRestore();
    }
  }
  const pause = () => new Promise((resolve) => setTimeout(resolve, 60));

  test('a stream tells the building to its end and then ends, and of a finished one just that', async () => {
    const id = await app.start({ policyVersion: app.stricter });
    const response = await open(id);
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    expect(response.headers.get('cache-control')).toBe('no-store');
    expect(response.headers.get('etag')).toBeNull();
    await pause();
    await app.build(id);
    const texts = (await response.text()).split('\n\n').filter((text) => text !== '');
    expect(texts[0]).toContain('event: progress');
    expect(texts).toContain(': still building');
    expect(texts.at(-1)).toContain('event: ready');
    expect(texts.at(-1)).toContain(`"id":${id}`);
    expect(await (await open(id)).text()).toMatch(/^event: ready\ndata: \{.*\}\n\n$/);
    await app.post(`replays/${id}/abort`, { apply: true });
  });

  test('a client that goes, or asks for the head alone, leaves no look and no listener behind', async () => {
    const id = await app.start({ policyVersion: app.stricter });
    for (let client = 0; client < 15; client++) {
      const going = new AbortController();
      const response = await open(id, going.signal);
      await response.body!.getReader().read();
      going.abort();
    }
    await (await open(id, undefined, 'HEAD')).text();
    await pause();
    expect(await looks(pause)).toBe(0);
    await app.post(`replays/${id}/abort`, { apply: true });
  });

  test('a server that stops ends its streams, also one that is just looking, and waits for no connection', async () => {
    const id = await app.start({ policyVersion: app.stricter });
    const response = await open(id);
    const query = app.pool.query.bind(app.pool) as (...args: unknown[]) => Promise<unknown>;
    const slowly: (...args: unknown[]) => unknown = async (...args) => {
      await new Promise((resolve) => setTimeout(resolve, 200));
      return query(...args);
    };
    const slow = jest.spyOn(app.pool, 'query').mockImplementation(slowly);
    await pause();
    await app.app.close();
    slow.mockRestore();
    expect(await response.text()).toContain('event: progress');
  });
});
