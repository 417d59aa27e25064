import { fc, TIMES } from '../support/properties';
import type { ClassifiedRun } from '../../src/classifier/classified-run';
import type { RunRow } from '../../src/classifier/run-row';
import type { Bucket } from '../../src/http/envelope';
import { printFilter } from '../../src/http/run-filter';
import type { RunFilter } from '../../src/http/run-filter';
import { BUCKET_FILTERS, BUCKET_NAMES } from '../../src/http/summary';
import type { Buckets } from '../../src/http/summary';
import { anyInstant } from '../classifier/run-facts';
import { anyFilter, anyRuns, matchesInMemory, WORKSPACES } from './random-runs';
import { adminToken, createReadFixture, systemToken } from './read-fixture';
import type { ReadFixture } from './read-fixture';

interface ListAnswer {
  data: { rows: RunRow[] };
  page: { nextCursor: string | null };
}
interface SummaryAnswer {
  data: {
    buckets: Buckets;
    tenants: { tenantId: string | null; buckets: Buckets }[];
    workspaces: { workspaceId: string; buckets: Buckets }[];
  };
}

let fixture: ReadFixture;
let admin: string;
let system: string;
beforeAll(async () => {
  fixture = await createReadFixture();
  [admin, system] = await Promise.all([adminToken(), systemToken()]);
});
afterAll(() => fixture.close());

const ENCODED = WORKSPACES.map(encodeURIComponent);
const PAGE = 11;

async function read<T>(url: string, token = url.startsWith('/system') ? system : admin): Promise<T> {
  const { status, body } = await fixture.get<T>(url, token);
  if (status !== 200) throw new Error(`${url}: ${status} ${JSON.stringify(body)}`);
  return body;
}

/** All rows behind a link, page by page, in order. */
async function walk(href: string, token?: string): Promise<RunRow[]> {
  const rows: RunRow[] = [];
  let cursor = '';
  do {
    const url = `${href}${href.includes('?') ? '&' : '?'}limit=${PAGE}${cursor && `&cursor=${cursor}`}`;
    const { data, page } = await read<ListAnswer>(url, token);
    rows.push(...data.rows);
    cursor = page.nextCursor ?? '';
  } while (cursor);
  return rows;
}

/** The bucket counts what the model says, and its link leads to exactly these runs. */
async function expectBucket(bucket: Bucket, runs: readonly ClassifiedRun[], filter: RunFilter, asOf: string) {
  const expected = runs.filter((run) => matchesInMemory(run, filter, asOf)).map((run) => run.facts.runId);
  const listed = (await walk(bucket.href)).map((row) => row.runId);
  expect({ href: bucket.href, value: bucket.value, runs: listed.sort() }).toEqual({
    href: bucket.href,
    value: expected.length,
    runs: expected.sort(),
  });
}

async function expectSummary(
  buckets: Buckets,
  runs: readonly ClassifiedRun[],
  place: RunFilter,
  asOf: string,
) {
  for (const name of BUCKET_NAMES)
    await expectBucket(buckets[name], runs, { ...BUCKET_FILTERS[name], ...place }, asOf);
  const of = (name: keyof Buckets) => buckets[name].value!;
  expect(of('none') + of('active_stale_attention') + of('terminal_follow_up')).toBe(of('total'));
}

/** Each takes a tenth of a second and more: many are for `npm run test:properties`. */
const numRuns = 7 * TIMES;

/** Every property on random runs, shown as the engine shows them, at a random instant. */
function onRandomRuns<T>(
  extra: fc.Arbitrary<T>,
  property: (runs: ClassifiedRun[], asOf: string, extra: T) => Promise<void>,
) {
  return fc.assert(
    fc.asyncProperty(anyRuns, anyInstant, extra, async (runs, asOf, one) => {
      await fixture.clear();
      await fixture.show(runs);
      await property(runs, asOf, one);
    }),
    { numRuns },
  );
}

test('every bucket of the platform counts the rows of the list behind it', () =>
  onRandomRuns(fc.nat(), async (runs, asOf, pick) => {
    const { data } = await read<SummaryAnswer>(`/system/ops/summary?asOf=${asOf}`);
    await expectSummary(data.buckets, runs, {}, asOf);
    expect(data.workspaces.map(({ workspaceId }) => workspaceId).sort()).toEqual(
      [...new Set(runs.map((run) => run.facts.workspaceId))].sort(),
    );
    const one = data.workspaces[pick % Math.max(1, data.workspaces.length)];
    if (one) await expectSummary(one.buckets, runs, { workspace: [one.workspaceId] }, asOf);
    for (const name of BUCKET_NAMES)
      expect(data.workspaces.reduce((sum, { buckets }) => sum + buckets[name].value!, 0)).toBe(
        data.buckets[name].value,
      );
  }));

test('a workspace is the sum of its tenants and its tenantless runs, and each part leads to its own list', () =>
  onRandomRuns(fc.nat(), async (runs, asOf, pick) => {
    const index = pick % WORKSPACES.length;
    const workspace = [WORKSPACES[index]!];
    const { data } = await read<SummaryAnswer>(
      `/workspaces/${ENCODED[index]}/operations/summary?asOf=${asOf}`,
    );
    await expectSummary(data.buckets, runs, { workspace }, asOf);
    for (const name of BUCKET_NAMES)
      expect(data.tenants.reduce((sum, { buckets }) => sum + buckets[name].value!, 0)).toBe(
        data.buckets[name].value,
      );
    const one = data.tenants[pick % Math.max(1, data.tenants.length)];
    if (!one) return;
    await expectSummary(one.buckets, runs, { workspace, tenant: [one.tenantId ?? ''] }, asOf);
    if (one.tenantId === null) return;
    const tenantPath = `/workspaces/${ENCODED[index]}/tenants/${encodeURIComponent(one.tenantId)}`;
    const own = await read<SummaryAnswer>(`${tenantPath}/operations/summary?asOf=${asOf}`);
    // The tenant's own page says the same of it, and its links lead to the same lists.
    const retold = JSON.stringify(one.buckets).replaceAll('workspace-overview', 'tenant-dashboard');
    expect(own.data.buckets).toEqual(JSON.parse(retold));
  }));

test('the hub counts its tabs under the other filters, and lists exactly what its filter says', () =>
  onRandomRuns(anyFilter, async (runs, asOf, filter) => {
    const href = `/admin/operations?asOf=${asOf}&${printFilter(filter)}`;
    const { data } = await read<{ data: { tabs: Record<string, Bucket> } }>(href);
    const { problemClass: _class, active: _active, ...others } = filter;
    await expectBucket(data.tabs.all!, runs, others, asOf);
    await expectBucket(data.tabs.active!, runs, { ...others, active: true }, asOf);
    const stale: RunFilter = { ...others, problemClass: ['active_stale_attention'] };
    await expectBucket(data.tabs.active_stale_attention!, runs, stale, asOf);
    const followUp: RunFilter = { ...others, problemClass: ['terminal_follow_up'] };
    await expectBucket(data.tabs.terminal_follow_up!, runs, followUp, asOf);

    const rows = await walk(href);
    const expected = runs.filter((run) => matchesInMemory(run, filter, asOf));
    expect(rows.map((row) => row.runId).sort()).toEqual(expected.map((run) => run.facts.runId).sort());
    expect(rows.map((row) => row.queuedAt)).toEqual(
      rows
        .map((row) => row.queuedAt)
        .sort()
        .reverse(),
    );
  }));

test('every list of all runs shows exactly what its filter says, whoever reads it', () =>
  onRandomRuns(anyFilter, async (runs, asOf, filter) => {
    const path = `?asOf=${asOf}&${printFilter(filter)}`;
    const ids = (matching: RunFilter, visible = runs) =>
      visible
        .filter((run) => matchesInMemory(run, matching, asOf))
        .map((run) => run.facts.runId)
        .sort();
    const idsOf = async (href: string, token?: string) =>
      (await walk(href, token)).map((row) => row.runId).sort();
    expect(await idsOf(`/system/ops/runs${path}`)).toEqual(ids(filter));

    const { workspace: _workspace, ...ofWorkspace } = filter;
    const recent = `/workspaces/w1/operations/recent?asOf=${asOf}&${printFilter(ofWorkspace)}`;
    expect(await idsOf(recent)).toEqual(ids({ ...ofWorkspace, workspace: ['w1'] }));

    const limited = await adminToken([{ id: 'w1', tenants: ['t1'] }, { id: WORKSPACES[1]! }]);
    const visible = runs.filter(({ facts }) => facts.workspaceId !== 'w1' || facts.tenantId === 't1');
    expect(await idsOf(`/admin/operations${path}`, limited)).toEqual(ids(filter, visible));
  }));

test('needs-attention has one item per class with runs in it, and each leads to exactly that class', () =>
  onRandomRuns(fc.constant(null), async (runs, asOf) => {
    const { data } = await read<{ data: { items: (Bucket & { problemClass: 'none' })[] } }>(
      `/workspaces/w1/operations/attention?asOf=${asOf}`,
    );
    const place = { workspace: ['w1'] };
    for (const problemClass of ['active_stale_attention', 'terminal_follow_up'] as const) {
      const filter = { ...place, problemClass: [problemClass] };
      const item = data.items.find((one) => String(one.problemClass) === problemClass);
      expect(Boolean(item)).toBe(runs.some((run) => matchesInMemory(run, filter, asOf)));
      if (item) await expectBucket(item, runs, filter, asOf);
    }
    expect(data.items.map((item) => item.problemClass)).not.toContain('none');
  }));

test('the overlay holds the active runs of its path, counts them, and says whether any is left', () =>
  onRandomRuns(fc.constantFrom('', '&problemClass=active_stale_attention'), async (runs, asOf, narrower) => {
    const path = `/workspaces/w1/operations/progress?asOf=${asOf}${narrower}`;
    const { data } = await read<{ data: { poll: { continue: boolean }; total: Bucket } }>(path);
    const active: RunFilter = { workspace: ['w1'], active: true };
    const filter: RunFilter = narrower ? { ...active, problemClass: ['active_stale_attention'] } : active;
    await expectBucket(data.total, runs, filter, asOf);
    expect((await walk(path)).map((row) => row.runId).sort()).toEqual(
      runs
        .filter((run) => matchesInMemory(run, filter, asOf))
        .map((run) => run.facts.runId)
        .sort(),
    );
    expect(data.poll.continue).toBe(runs.some((run) => matchesInMemory(run, active, asOf)));
  }));

test('a run has the same class, freshness, lineage and words wherever it is shown', () =>
  onRandomRuns(fc.constant(null), async (_runs, asOf) => {
    const lists = ['/system/ops/runs', '/system/ops/stuck', '/system/ops/failures', '/admin/operations'];
    const paths = ENCODED.flatMap((one) => [
      `/workspaces/${one}/operations/recent`,
      `/workspaces/${one}/operations/progress`,
    ]);
    const seen = new Map<string, object>();
    for (const path of [...lists, ...paths])
      for (const { href: _href, ...row } of await walk(`${path}?asOf=${asOf}`)) {
        expect(row).toEqual(seen.get(row.runId) ?? row);
        seen.set(row.runId, row);
      }
  }));

test('stuck is what needs attention over the platform; the reconciled are among runs and failures, never there', () =>
  onRandomRuns(fc.constant(null), async (runs, asOf) => {
    const idsOf = async (path: string) => (await walk(`${path}?asOf=${asOf}`)).map((row) => row.runId).sort();
    const ids = (matching: (run: ClassifiedRun) => boolean) =>
      runs
        .filter(matching)
        .map((run) => run.facts.runId)
        .sort();
    const isStale = (run: ClassifiedRun) =>
      matchesInMemory(run, { problemClass: ['active_stale_attention'] }, asOf);
    expect(await idsOf('/system/ops/stuck')).toEqual(ids(isStale));
    expect(await idsOf('/system/ops/failures')).toEqual(
      ids(({ facts }) => facts.outcome === 'failed' || facts.evidence !== null),
    );
    expect(await idsOf('/system/ops/runs')).toEqual(ids(() => true));
  }));

test('what a reader may not see changes no byte of their answers', async () => {
  const limited = await adminToken([{ id: 'w1', tenants: ['t1'] }]);
  const places = ['/workspaces/w1', '/workspaces/w1/tenants/t1'];
  const lists = ['summary', 'attention', 'recent', 'progress', 'notifications'].flatMap((list) =>
    places.map((place) => `${place}/operations/${list}`),
  );
  const detailOf = ({ facts }: ClassifiedRun) => `/admin/operations/${encodeURIComponent(facts.runId)}`;
  const readAll = async (paths: readonly string[]) => {
    const answers = [];
    for (const path of paths) {
      const { status, etag, text } = await fixture.get(path, limited);
      // Each problem has an instance of its own.
      answers.push({ path, status, etag, text: text.replace(/"instance":"[^"]+"/, '') });
    }
    return answers;
  };
  await onRandomRuns(fc.constant(null), async (runs) => {
    const isVisible = ({ facts }: ClassifiedRun) => facts.workspaceId === 'w1' && facts.tenantId === 't1';
    const hidden = runs.filter((run) => !isVisible(run));
    const ids = hidden.map(({ facts }) => facts.runId);
    // Retries of runs that the reader may not see, and retried by such.
    const visible = runs.filter(isVisible).map((run) => ({
      ...run,
      facts: { ...run.facts, predecessorRunId: ids.at(0) ?? null, successorRunIds: ids.slice(-1) },
    }));
    const seen = ['/admin/operations', ...lists, ...visible.map(detailOf)];
    const unseen = hidden.map(detailOf);
    await fixture.clear();
    await fixture.show(visible);
    const alone = await readAll([...seen, ...unseen]);
    expect(alone.map(({ status }) => status)).toEqual([...seen.map(() => 200), ...unseen.map(() => 404)]);
    await fixture.show(hidden);
    expect(await readAll([...seen, ...unseen])).toEqual(alone);
  });
});
