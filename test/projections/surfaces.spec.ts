import { fc } from '../support/properties';
import { surfaces } from '../../projections/surfaces';
import { classifiedOf } from '../../projections/run-detail/detail';
import type { ClassifiedRun } from '../../src/classifier/classified-run';
import { decisionOf } from '../../src/classifier/decision-zone';
import { factsJson } from '../../src/classifier/facts-document';
import type { FactsDocument } from '../../src/classifier/facts-document';
import { storedRunJson } from '../../src/classifier/run-row';
import type { RunDocument } from '../../src/classifier/run-row';
import type { KeyedTable, Row } from '../../src/projector/surface';
import { tablesOf } from '../../src/projector/surface-content';
import {
  anyInstant,
  anyRun,
  at,
  classified,
  completedRun,
  queuedRun,
  reconciledRun,
  runningRun,
} from '../classifier/run-facts';

const tables = tablesOf(surfaces);

function table(name: string): KeyedTable {
  const found = tables.find((one) => one.name === name);
  if (found?.kind !== 'keyed') throw new Error(`no keyed table ${name}`);
  return found;
}

/** The tables that hold a row of the run, besides the one that holds every run. */
function shownIn(run: ClassifiedRun): string[] {
  return tables
    .filter((one) => one.kind === 'keyed' && one.row(run) !== null)
    .map((one) => one.name)
    .filter((name) => name !== 'runs');
}

test('every table has a name of its own, and rows with exactly its columns, null only where it may be', () => {
  expect(new Set(tables.map(({ name }) => name)).size).toBe(tables.length);
  fc.assert(
    fc.property(anyRun, (run) => {
      for (const one of tables) {
        const rows: (Row | null)[] = one.kind === 'keyed' ? [one.row(run)] : [...one.cells(run)];
        for (const row of rows) {
          if (row === null) continue;
          expect(Object.keys(row)).toEqual(Object.keys(one.columns));
          for (const [column, { nullable }] of Object.entries(one.columns))
            if (!nullable) expect([one.name, column, row[column]]).not.toEqual([one.name, column, null]);
        }
      }
    }),
  );
});

test('a table that one surface alone reads has its name, one that several read has none', () => {
  for (const one of tables) {
    const names = surfaces.filter((surface) => surface.tables.includes(one)).map(({ name }) => name);
    const named = surfaces.find(({ name }) => one.name.startsWith(name.replaceAll('-', '_')))?.name;
    expect([one.name, named]).toEqual([one.name, names.length === 1 ? names[0] : undefined]);
  }
});

test('keys begin with the workspace', () => {
  for (const one of tables) expect(Object.keys(one.columns)[0]).toBe('workspace_id');
  for (const one of tables) if (one.kind === 'keyed') expect(one.columns).toHaveProperty('run_id');
});

test('a queued or running run is among the active, a completed one is not', () => {
  expect(shownIn(classified(queuedRun()))).toEqual(['active_runs']);
  expect(shownIn(classified(runningRun({ lastHeartbeatAt: at(60) })))).toEqual(['active_runs']);
  expect(shownIn(classified(completedRun()))).toEqual(['notifications_messages']);
});

test('a reconciled run is among the failures and never among the stuck', () => {
  expect(shownIn(classified(reconciledRun()))).toEqual(['system_failures_runs', 'notifications_messages']);
  const asBlocked = reconciledRun({}, { outcome: 'blocked' });
  expect(shownIn(classified(asBlocked))).toEqual(['system_failures_runs', 'notifications_messages']);
});

test('an active run that policy exempts has no deadline, and nothing else less', () => {
  const run = classified(runningRun());
  const exempt = { ...run, timeline: { ...run.timeline, staleAt: null, after: run.timeline.before } };
  expect(table('active_runs').row(run)?.stale_at).toEqual(expect.any(String));
  expect(table('active_runs').row(exempt)).toEqual({ ...table('active_runs').row(run), stale_at: null });
});

test('a heartbeat moves no column that an index of a list is made of', () => {
  const before = runningRun({ lastHeartbeatAt: at(60), version: 3 });
  const after = { ...before, lastHeartbeatAt: at(120), version: 4 };
  for (const one of tables) {
    // The stuck have to be found by their deadline.
    if (one.kind !== 'keyed' || one.name === 'active_runs') continue;
    const indexed = one.indexes.map(({ on, where }) => `${on} ${where ?? ''}`).join(' ');
    const [old, fresh] = [one.row(classified(before)), one.row(classified(after))];
    for (const column of Object.keys(one.columns))
      if (old?.[column] !== fresh?.[column]) expect(indexed).not.toMatch(new RegExp(`\\b${column}\\b`));
  }
});

test('a message goes to who started the run, else to its workspace', () => {
  const addressee = (run: ClassifiedRun) => table('notifications_messages').row(run)?.addressee;
  expect(addressee(classified(completedRun({ initiator: 'ann' })))).toBe('ann');
  expect(addressee(classified(completedRun({ initiator: null })))).toBe('workspace:w1');
});

test('what is kept of a run is all that decision zone and guards are made of', () => {
  fc.assert(
    fc.property(anyRun, anyInstant, (run, asOf) => {
      const kept = {
        run: JSON.parse(storedRunJson(run)) as RunDocument,
        facts: JSON.parse(factsJson(run.facts)) as FactsDocument,
        position: run.position,
      };
      const again = classifiedOf(kept, run.timeline.policyVersion);
      expect(decisionOf(again, asOf)).toEqual(decisionOf(run, asOf));
      expect({ ...again, facts: sorted(again.facts) }).toEqual({ ...run, facts: sorted(run.facts) });
    }),
  );
});

/** Rows keep counts sorted and drop what JSON drops; the rest must be equal. */
function sorted(facts: ClassifiedRun['facts']): unknown {
  return JSON.parse(JSON.stringify(facts));
}
