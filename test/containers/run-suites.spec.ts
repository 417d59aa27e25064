import { runSuites } from './run-suites';
import type { Containers } from './run-suites';

function fakes(more: Partial<Containers> = {}) {
  const said: string[] = [];
  const runs: { paths: readonly string[]; env: Readonly<Record<string, string>> }[] = [];
  const stopped: string[] = [];
  const server = (url: string) => () =>
    Promise.resolve({ url, image: `image of ${url}`, stop: () => Promise.resolve(stopped.push(url)) });
  const containers: Containers = {
    whyNoDocker: () => Promise.resolve(null),
    startPostgres: server('postgres://p'),
    startEventStore: server('esdb://e'),
    jest: (paths, env) => Promise.resolve(runs.push({ paths, env }) - 1),
    say: (line) => said.push(line),
    ...more,
  };
  return { containers, said, runs, stopped };
}

test('without Docker it is skipped, with the reason, and that is no failure', async () => {
  const { containers, said, runs } = fakes({ whyNoDocker: () => Promise.resolve('no socket') });
  expect(await runSuites(containers, [])).toBe(0);
  expect(said).toEqual([expect.stringMatching(/^skipped: .*Docker.*\(no socket\)/)]);
  expect(runs).toEqual([]);
});

test('the suites run on each log, the worst exit code counts, and the servers are stopped', async () => {
  const { containers, runs, stopped } = fakes();
  expect(await runSuites(containers, ['test/commands'])).toBe(1);
  const env = { TEST_DATABASE_URL: 'postgres://p', EVENT_STORE_TEST_URL: 'esdb://e' };
  expect(runs).toEqual([
    { paths: ['test/commands'], env: { ...env, EVENT_STORE: 'postgres' } },
    { paths: ['test/commands'], env: { ...env, EVENT_STORE: 'server' } },
  ]);
  expect(stopped).toEqual(['postgres://p', 'esdb://e']);
});

test('EventStoreDB may be left out, and that is said', async () => {
  const { containers, said, runs } = fakes({ startEventStore: null });
  expect(await runSuites(containers, [])).toBe(0);
  expect(runs).toHaveLength(1);
  expect(said.at(-1)).toMatch(/^skipped: the suites on EventStoreDB/);
});

test('an image that cannot be had fails, and what was started is stopped', async () => {
  const { containers, stopped } = fakes({
    startEventStore: () => Promise.reject(new Error('no such image')),
  });
  await expect(runSuites(containers, [])).rejects.toThrow('EventStoreDB does not start: no such image');
  expect(stopped).toEqual(['postgres://p']);
});
