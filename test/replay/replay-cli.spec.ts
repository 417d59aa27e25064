import os from 'node:os';
import { Client } from 'pg';
import type { Output } from '../../src/cli/output';
import {
  abortReplayVerb,
  cutoverVerb,
  diffReplayVerb,
  planReplayVerb,
  replayLogVerb,
  replayStatusVerb,
  resumeReplayVerb,
  retireReplayVerb,
  rollbackVerb,
  startReplayVerb,
} from '../../src/cli/replay';
import { discardParkedEvent, retryParkedStream, showParked } from '../../src/cli/parked';
import { fail } from '../../src/cli/fail';
import { START } from '../../src/events/position';
import { createLease } from '../../src/projector/lease';
import { generationById, liveGeneration } from '../../src/projector/generations';
import { startReplay } from '../../src/replay/replays';
import { eventually } from '../support/eventually';
import { runCli } from '../support/run-cli';
import { AS_OF, createReplaysFixture } from './replays-app';
import type { ReplaysFixture } from './replays-app';

/** What a verb told: the value of `--json`, the lines for a person, and the bar's figures. */
function fakeOutput(json = false) {
  const told = {
    value: undefined as unknown,
    lines: [] as string[],
    bar: [] as number[],
    bars: 0,
    stopped: 0,
  };
  const output: Output = {
    json,
    line: () => undefined,
    result: (value, toLines) => {
      told.value = value;
      told.lines = [...toLines(value)];
    },
    progress: () => {
      told.bars += 1;
      return { update: (done) => told.bar.push(done), stop: () => void told.stopped++ };
    },
  };
  return { output, told };
}

let fixture: ReplaysFixture;
let errors: string[];
const environment = { ...process.env };

beforeEach(async () => {
  // The verbs open the database that the settings name, as they do at a terminal, and with it its own log.
  fixture = await createReplaysFixture('postgres');
  Object.assign(process.env, { DATABASE_URL: fixture.pool.options.connectionString, OPSTRUTH_ACTOR: 'olga' });
  errors = [];
  // A builder gives way to all others, and here it is the process of all further specs too.
  jest.spyOn(os, 'setPriority').mockImplementation(() => undefined);
  jest.spyOn(process.stderr, 'write').mockImplementation((text) => {
    errors.push(String(text));
    return true;
  });
});
afterEach(async () => {
  process.env = { ...environment };
  await fixture.close();
  jest.restoreAllMocks();
});

/** Runs a verb as the command line would; the exit code does not outlive it. */
async function run(work: (output: Output) => Promise<void>, json = false) {
  const { output, told } = fakeOutput(json);
  process.exitCode = undefined;
  await work(output).catch((error: unknown) => fail(error, json));
  const exitCode = process.exitCode ?? 0;
  process.exitCode = undefined;
  return { ...told, text: told.lines.join('\n'), exitCode };
}

/** How many statements of this text were sent since, on whichever connection. */
function countStatements(text: RegExp): () => number {
  // oxlint-disable-next-line typescript/unbound-method -- called on the connection below
  const send = Client.prototype.query as (...given: unknown[]) => unknown;
  let sent = 0;
  jest.spyOn(Client.prototype, 'query').mockImplementation(function (
    this: Client,
    ...given: unknown[]
  ): unknown {
    if (typeof given[0] === 'string' && text.test(given[0].trim())) sent += 1;
    return send.apply(this, given);
  });
  return () => sent;
}

const liveId = async () => (await liveGeneration(fixture.pool))!.id;
const stateOf = async (id: number) => (await generationById(fixture.pool, id))!.state;

test('plan prints the work and the matrix per workspace, and changes nothing', async () => {
  const plan = await run((output) => planReplayVerb(output, { policy: fixture.stricter, asOf: AS_OF }));
  expect(plan.value).toMatchObject({ asOf: AS_OF, madeBy: 'facts', to: { policyVersion: fixture.stricter } });
  expect(plan.text).toMatch(
    /from the run facts of generation 1: [\d,]+ runs to read, about [\d.]+ s at an assumed 6,000 runs\/s: no such/,
  );
  expect(plan.text).toMatch(/\d+ of \d+ runs change class \(\d+\.\d\d %\)/);
  expect(plan.text).toMatch(/workspace workspace-1\nfrom +to +runs\nnone +unchanged +\d+\n/);
  expect(plan.text).toMatch(/terminal_follow_up +none +\d+/);
  expect(plan.text).toMatch(/counts as none instead of terminal_follow_up/);
  expect(plan.exitCode).toBe(0);
  expect(await fixture.audited()).toEqual([]);
});

test('plan --full tells the events of the log, and the time at an assumed rate until such a build was measured', async () => {
  const { events } = await fixture.store.pending(START, 1_000_000);
  const plan = () => run((output) => planReplayVerb(output, { full: true, asOf: AS_OF }));
  const before = await plan();
  expect(before.value).toMatchObject({
    madeBy: 'full',
    eventsToRead: events,
    runsToRead: 0,
    estimatedSeconds: events / 8_000,
    assumedPerSecond: 8_000,
  });
  expect(before.text).toMatch(
    /from the log: [\d,]+ events to read, about [\d.]+ s at an assumed 8,000 events\/s/,
  );
  await run((output) => startReplayVerb(output, { full: true }));
  const after = await plan();
  expect(after.value).toMatchObject({ eventsToRead: events, assumedPerSecond: null });
  expect(after.text).not.toContain('assumed');
});

test('start builds with a bar; cutover previews, refuses, is forced; rollback and retire act unless it is a dry run', async () => {
  const first = fixture.generation.id;
  const started = await run((output) =>
    startReplayVerb(output, { policy: fixture.stricter, reason: 'tighter' }),
  );
  const { id } = started.value as { id: number };
  expect(started).toMatchObject({ exitCode: 0, stopped: started.bars });
  expect(started.bar.length).toBeGreaterThan(0);
  expect(started.text).toMatch(
    /is ready\n.*from run facts, asked for by olga: tighter\n[\d,]+ runs in .* s, /,
  );

  const diff = await run((output) => diffReplayVerb(output, id, { asOf: AS_OF }));
  expect(diff.value).toMatchObject({ asOf: AS_OF });
  expect(diff.text).toMatch(new RegExp(`^generation ${first} \\(live\\) -> ${id} \\(ready\\)`));

  const preview = await run((output) => cutoverVerb(output, id, { maxChange: 5 }));
  expect(preview.exitCode).toBe(1);
  expect(preview.value).toMatchObject({ applied: false, refused: true, from: first, to: id });
  expect(preview.text).toMatch(/objection: \d+ runs \(.*\) change class, more than 5 %/);
  expect(preview.text).toMatch(/would be refused/);

  const refused = await run((output) => cutoverVerb(output, id, { maxChange: 5, apply: true }));
  expect(refused).toMatchObject({ exitCode: 1, value: undefined });
  expect(errors.join('')).toMatch(
    /^the cutover to generation \d+ is refused\n {2}\d+ runs .*\n {2}\d+ runs go/,
  );
  errors = [];
  const json = await run((output) => cutoverVerb(output, id, { maxChange: 5, apply: true }), true);
  expect(json).toMatchObject({ exitCode: 1, value: undefined });
  expect(JSON.parse(errors.join(''))).toEqual({
    error: expect.stringMatching(/^the cutover to generation \d+ is refused\n {2}\d+ runs/) as string,
    code: 'cutover_refused',
    details: [expect.stringContaining('change class'), expect.stringContaining('is forbidden')],
  });
  expect(await liveId()).toBe(first);

  const blank = { maxChange: 5, force: true, reason: '  ' };
  expect(await run((output) => cutoverVerb(output, id, blank))).toMatchObject({ value: { refused: true } });
  errors = [];
  const unreasoned = await run((output) => cutoverVerb(output, id, { ...blank, apply: true }));
  expect(unreasoned.exitCode).toBe(1);
  expect(errors.join('')).toBe('a forced cutover needs a reason, which is kept\n');
  expect(await liveId()).toBe(first);

  const forced = { maxChange: 5, apply: true, force: true, reason: 'agreed' };
  const done = await run((output) => cutoverVerb(output, id, forced));
  expect(done).toMatchObject({ exitCode: 0, value: { applied: true, refused: false } });
  expect(done.lines.at(-1)).toBe(
    `generation ${id} is live; ${first} is standby, to go back to with \`replay rollback\``,
  );
  expect(await liveId()).toBe(id);

  expect((await run((output) => rollbackVerb(output, { dryRun: true }))).text).toMatch(
    new RegExp(`^would make .*; --from ${id} makes sure of it$`),
  );
  expect(await liveId()).toBe(id);
  // As one who read the preview before somebody else went back.
  errors = [];
  const late = await run((output) => rollbackVerb(output, { from: first }), true);
  expect(late).toMatchObject({ exitCode: 1, value: undefined });
  expect(JSON.parse(errors.join(''))).toEqual({
    error: `generation ${first} is no longer live: ${id} is`,
    code: 'wrong_state',
    details: [],
  });
  expect(await liveId()).toBe(id);
  await run((output) => rollbackVerb(output, { reason: 'too quiet' }));
  expect(await liveId()).toBe(first);

  expect((await run((output) => retireReplayVerb(output, id, { dryRun: true }))).text).toMatch(
    /^would retire .* standby, and drop its tables$/,
  );
  expect(await stateOf(id)).toBe('standby');
  await run((output) => retireReplayVerb(output, id, {}));
  expect(await stateOf(id)).toBe('retired');
  expect(await fixture.audited()).toEqual([
    { actor: 'olga', action: 'replay.start', reason: 'tighter' },
    { actor: 'olga', action: 'replay.cutover', reason: 'agreed' },
    { actor: 'olga', action: 'replay.rollback', reason: 'too quiet' },
    { actor: 'olga', action: 'replay.retire', reason: null },
  ]);
});

test('a cutover within the limits needs no force', async () => {
  await run((output) => startReplayVerb(output, { policy: fixture.harmless }));
  const preview = await run((output) => cutoverVerb(output, 2, { maxChange: 0 }));
  expect(preview.exitCode).toBe(0);
  expect(preview.lines.at(-1)).toBe('would make generation 2 live and 1 standby; add --apply');
});

test('start --json tells its progress in lines of JSON on standard error, and the replay as it ended as its result', async () => {
  const started = await run((output) => startReplayVerb(output, { full: true }), true);
  expect(started).toMatchObject({ exitCode: 0, bars: 0, value: { id: 2, state: 'ready' } });
  expect(errors.length).toBeGreaterThan(0);
  const told = errors.map((line) => JSON.parse(line) as { progress: object });
  for (const line of errors) expect(line).toMatch(/^\{"progress":\{.*\}\}\n$/);
  expect(told[0]).toMatchObject({
    progress: {
      id: 2,
      state: 'building',
      phase: 'folding',
      unit: 'events',
      done: 0,
      total: expect.any(Number) as 0,
    },
  });
  expect(new Set(errors).size).toBe(errors.length);
});

test('a detached replay waits, is followed while another process builds it, and taken over when that one goes', async () => {
  const detached = await run((output) =>
    startReplayVerb(output, { policy: fixture.stricter, full: true, detach: true }),
  );
  expect(detached.value).toMatchObject({ id: 2, state: 'building', madeBy: 'full', done: 0 });
  expect(detached.text).toContain('opstruth replay resume 2');

  const other = createLease(fixture.pool, 'replay-2', 'another process', 60);
  expect(await other.hold()).toBe(true);
  let over = false;
  const resumed = run((output) => resumeReplayVerb(output, 2)).finally(() => (over = true));
  await new Promise((resolve) => setTimeout(resolve, 700));
  expect(over).toBe(false);
  await other.release();
  expect(await resumed).toMatchObject({ exitCode: 0, value: { state: 'ready' } });

  const again = await run((output) => resumeReplayVerb(output, 2));
  expect(again.exitCode).toBe(1);
  expect(errors.join('')).toBe('cannot go on building generation 2: it is ready, not building\n');
});

test('a build that another process took over while this one was paused ended with exit code 1 and no word of it', async () => {
  const { pool } = fixture;
  const { id } = await startReplay(fixture.context, { full: true }, { actor: 'olga', reason: null });
  // Somebody's lock keeps the builder at its beginning, as if it were paused there.
  const holder = await pool.connect();
  await holder.query(`begin; select from opstruth.generations where id = ${id} for update`);
  let over = false;
  const resumed = run((output) => resumeReplayVerb(output, id)).finally(() => (over = true));
  await eventually(async () => {
    const { rowCount } = await pool.query(
      `select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`,
    );
    return rowCount! > 0;
  });
  const takeOver = `update opstruth.leases set holder = 'another process', expires_at = now() + interval '1 hour' where name = $1`;
  expect((await pool.query(takeOver, [`replay-${id}`])).rowCount).toBe(1);
  // With the second try to renew its lease it knows what the first was answered.
  const tries = countStatements(/^insert into opstruth\.leases/);
  await eventually(() => Promise.resolve(tries() >= 2));
  await holder.query('commit');
  holder.release();
  await new Promise((resolve) => setTimeout(resolve, 700));
  expect(over).toBe(false);
  await pool.query('delete from opstruth.leases where name = $1', [`replay-${id}`]);
  expect(await resumed).toMatchObject({ exitCode: 0, value: { state: 'ready' } });
});

test('a preview took a reason that the step refuses', async () => {
  await run((output) => startReplayVerb(output, { detach: true }));
  const reason = 'x'.repeat(501);
  for (const step of [abortReplayVerb, retireReplayVerb])
    expect((await run((output) => step(output, 2, { reason }))).exitCode).toBe(1);
  expect((await run((output) => cutoverVerb(output, 2, { maxChange: 5, reason }))).exitCode).toBe(1);
  expect((await run((output) => rollbackVerb(output, { reason }))).exitCode).toBe(1);
  expect(errors).toEqual(Array(4).fill('a reason has at most 500 characters, this one has 501\n'));
  errors.length = 0;
  expect((await run((output) => rollbackVerb(output, { reason: 'half \ud83d' }))).exitCode).toBe(1);
  expect(errors).toEqual(['a reason must not contain U+0000 or half a surrogate pair\n']);
});

test("resume wrote tables of another version's making", async () => {
  await run((output) => startReplayVerb(output, { detach: true }));
  await fixture.pool.query(`update opstruth.generations set surfaces_digest = 'another' where id = 2`);
  expect((await run((output) => resumeReplayVerb(output, 2))).exitCode).toBe(1);
  expect(errors.join('')).toMatch(/^cannot go on building generation 2: .* the version that made it\n$/);
  expect(await generationById(fixture.pool, 2)).toMatchObject({ state: 'building', failure: null });
});

test('a build that fails ends with exit code 1 and its words, and stays to be resumed', async () => {
  await run((output) => startReplayVerb(output, { policy: fixture.stricter, detach: true }));
  await fixture.pool.query('drop table opstruth_gen_2.run_facts');
  const failed = await run((output) => resumeReplayVerb(output, 2));
  expect(failed).toMatchObject({ exitCode: 1, value: { state: 'building' } });
  expect(failed.text).toMatch(/failure: .*run_facts" does not exist/);
});

test('status lists generations or tells of one; abort has a dry run; refusals are told in words', async () => {
  await run((output) =>
    startReplayVerb(output, { until: { at: '2026-01-01T00:10:00.000Z' }, reason: 'the outage' }),
  );
  const list = await run((output) => replayStatusVerb(output, undefined));
  expect(list.value).toMatchObject([{ id: 2, until: '2026-01-01T00:10:00.000Z' }, { id: 1 }]);
  expect(list.lines).toHaveLength(3);
  expect((await run((output) => replayStatusVerb(output, 2))).text).toMatch(/^generation 2 is ready\n/);

  expect((await run((output) => abortReplayVerb(output, 2, { dryRun: true }))).text).toMatch(/^would abort/);
  await run((output) => abortReplayVerb(output, 2, {}));
  expect((await run((output) => replayStatusVerb(output, 2))).text).toContain('failure: aborted by olga');
  expect((await run((output) => replayStatusVerb(output, undefined))).lines[1]).toMatch(
    /^2 +failed .*the outage; aborted by olga$/,
  );

  for (const refused of [
    (output: Output) => replayStatusVerb(output, 9),
    (output: Output) => planReplayVerb(output, { policy: 99 }),
    (output: Output) => startReplayVerb(output, { classifier: 99 }),
    (output: Output) => rollbackVerb(output, {}),
  ])
    expect((await run(refused)).exitCode).toBe(1);
  expect(errors.join('')).toMatch(
    /^there is no generation 9\nthere is no policy version 99: there are [\d, ]+\nthere is no classifier version 99: .*\nthere is no standby generation to go back to\n$/,
  );
});

test('log tells who did what to which generation and why, the latest first, and no more than asked for', async () => {
  expect((await run((output) => replayLogVerb(output, 50))).lines).toEqual(['nothing was done yet']);
  await run((output) => startReplayVerb(output, { detach: true, reason: 'tighter' }));
  await run((output) => abortReplayVerb(output, 2, {}));
  const log = await run((output) => replayLogVerb(output, 50));
  expect(log.value).toMatchObject([
    { actor: 'olga', action: 'replay.abort', generation: 2, reason: null },
    { actor: 'olga', action: 'replay.start', generation: 2, reason: 'tighter' },
  ]);
  expect(log.lines[0]).toMatch(/^time +actor +action +generation +reason +details$/);
  expect(log.lines.slice(1)).toEqual([
    expect.stringMatching(/^\d{4}-\d\d-\d\dT\S+Z +olga +replay.abort +2 +- *-?$/),
    expect.stringMatching(
      /^\d{4}-\d\d-\d\dT\S+Z +olga +replay.start +2 +tighter +madeBy full, policyVersion 1, classifierVersion 1$/,
    ),
  ]);
  expect((await run((output) => replayLogVerb(output, 1))).value).toHaveLength(1);
});

test("a parked stream that is no run's could not be named on the command line", async () => {
  const streamId = 'orders-1';
  await fixture.writeForeign(streamId, 1);
  const list = await run((output) => showParked(output));
  expect(list.lines[1]).toMatch(/^--stream orders-1 +0 +OrderPlaced +1 /);
  const again = await run((output) => retryParkedStream(output, streamId));
  expect(again).toMatchObject({ exitCode: 1, value: { streamId, runId: null, kind: 'parked_again' } });
  expect(again.text).toMatch(/^stream orders-1 stays parked at revision 0: .*not of an operation run/);
  const flags = { reason: 'none of ours', apply: true };
  const would = await run((output) => discardParkedEvent(output, streamId, { ...flags, apply: false }));
  expect(would.text).toBe(
    'would leave out revision 0 (OrderPlaced) of stream orders-1 for good; add --apply',
  );
  const done = await run((output) => discardParkedEvent(output, streamId, flags));
  expect(done).toMatchObject({ exitCode: 0, value: { streamId, runId: null, kind: 'cleared', events: 1 } });
  expect((await run((output) => showParked(output))).value).toEqual([]);
  expect(await fixture.audited()).toEqual([
    { actor: 'olga', action: 'parked.retry', reason: null },
    { actor: 'olga', action: 'parked.discard', reason: 'none of ours' },
  ]);

  // As over HTTP, and whether or not it is applied.
  for (const ask of [
    (output: Output) => retryParkedStream(output, streamId),
    (output: Output) => discardParkedEvent(output, streamId, flags),
    (output: Output) => discardParkedEvent(output, streamId, { ...flags, apply: false }),
  ])
    expect([await run(ask), errors.pop()]).toEqual([
      expect.objectContaining({ value: undefined, exitCode: 1 }),
      'stream orders-1 is not parked\n',
    ]);

  // One or the other.
  for (const named of [[], ['a-run', '--stream', streamId]]) {
    const ended = await runCli(['parked', 'retry', ...named, '--json'], {});
    expect(ended).toMatchObject({ code: 1, stdout: '' });
    expect(JSON.parse(ended.stderr)).toEqual({ error: expect.stringMatching(/^give .*--stream/) as string });
  }
});
