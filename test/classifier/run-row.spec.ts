import { fc } from '../support/properties';
import { verdictAt } from '../../src/classifier/classified-run';
import { factsJson } from '../../src/classifier/facts-document';
import { lineageOf } from '../../src/classifier/lineage';
import { present } from '../../src/classifier/presenter';
import {
  presentRun,
  runRowSchema,
  storedRun,
  storedRunJson,
  storedRunOf,
  subjectOf,
} from '../../src/classifier/run-row';
import type { RunDocument } from '../../src/classifier/run-row';
import {
  anyInstant,
  anyRun,
  at,
  builtIn,
  classified,
  completedRun,
  lateSuccess,
  queuedRun,
  reconciledRun,
} from './run-facts';

const HREF = '/admin/operations/run-1?from=operations-hub';

describe('a run row', () => {
  it('survives its table, and says what the run says, at any instant', () => {
    fc.assert(
      fc.property(anyRun, anyInstant, (run, asOf) => {
        const row = presentRun(storedRunOf(JSON.parse(storedRunJson(run)) as RunDocument), asOf, HREF);
        expect(runRowSchema.strict().parse(row)).toEqual(row);
        expect(row).toMatchObject(verdictAt(run.timeline, asOf, run.incomplete));
        expect(row).toMatchObject(present(subjectOf(storedRun(run), asOf)));
        expect(row.lineage).toEqual(lineageOf(run.facts));
      }),
    );
  });

  it('with half a character in it, as older versions have stored some, made every list fail', () => {
    const run = classified(completedRun({ type: 'a\ud83d', reason: '\\\ude00\u0000 \\ud83d 😀' }));
    for (const json of [storedRunJson(run), factsJson(run.facts)])
      expect(json).not.toMatch(/(?<!\\)(\\\\)*\\u(0000|d)/);
    expect(JSON.parse(storedRunJson(run))).toMatchObject({ type: 'a\ufffd' });
    expect(JSON.parse(factsJson(run.facts))).toMatchObject({ reason: '\\\ufffd\ufffd \\ud83d 😀' });
  });

  it('carries the lineage of a reconciled run with the late report', () => {
    const run = classified(reconciledRun({}, { lateReport: lateSuccess }));
    expect(presentRun(storedRun(run), at(3000), HREF).lineage).toEqual({
      firstStaleAt: at(910),
      staleKind: 'stale_running',
      thresholdSeconds: 900,
      lastHeartbeatAt: null,
      priorStatus: 'running',
      reconciledAt: at(2000),
      reconciledBy: 'reconciler',
      reasonCode: 'stale_running',
      reason: `no heartbeat at all; stale since ${at(910)} by a limit of 900 s`,
      policyVersion: 1,
      lateReport: lateSuccess,
    });
  });

  it('has no lineage without evidence, be the report ever so late', () => {
    const run = classified(completedRun({ outcome: 'cancelled', lateReport: lateSuccess }));
    expect(presentRun(storedRun(run), at(3000), HREF).lineage).toBeNull();
  });

  it('says that it is behind, and claims no freshness then', () => {
    const row = presentRun(storedRun(classified(queuedRun(), builtIn, true)), at(700), HREF);
    expect(row).toMatchObject({
      projection: 'incomplete',
      freshness: 'unknown',
      problemClass: 'active_stale_attention',
      label: 'Never started',
      href: HREF,
    });
  });
});

describe('the stored text', () => {
  it('is the same whatever order a table gave the keys of the facts back in', () => {
    const facts = reconciledRun({}, { summaryCounts: { b: 2, a: 1 }, lateReport: lateSuccess });
    const reversed = JSON.parse(JSON.stringify(facts), (_key, value: unknown) =>
      typeof value === 'object' && value !== null && !Array.isArray(value)
        ? Object.fromEntries(Object.entries(value).reverse())
        : value,
    ) as typeof facts;
    expect(storedRunJson(classified(reversed))).toBe(storedRunJson(classified(facts)));
  });

  it('keeps five failures and a bounded message, cut between characters', () => {
    const failureSummary = Array.from({ length: 20 }, (_, n) => ({
      code: `e${n}`,
      message: `${'x'.repeat(199)}😀 and on`,
      count: 1,
    }));
    const stored = storedRun(classified(completedRun({ outcome: 'failed', failureSummary })));
    expect(stored.failures).toHaveLength(5);
    expect(stored.failureKinds).toBe(20);
    expect(stored.failureMessage).toBe(`${'x'.repeat(199)}…`);
  });
});
