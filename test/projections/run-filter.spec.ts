import { fc } from '../support/properties';
import { z } from 'zod';
import { surfaces } from '../../projections/surfaces';
import {
  filterFields,
  filterOf,
  printFilter,
  runFilterSchema,
  runHref,
  RUN_FILTER_FIELDS,
  runsHref,
} from '../../src/http/run-filter';
import { rangesOf } from '../../src/http/run-filter-ranges';
import { EVERYTHING } from '../../src/auth/principal';
import type { Scope } from '../../src/auth/principal';
import { idSchema } from '../../src/events/operation-run-events';
import { anyFilter } from './random-runs';

/** A query string as Fastify hands it on: one text, or a list of them. */
function parseQuery(text: string): Record<string, string | string[]> {
  const query: Record<string, string | string[]> = {};
  for (const [name, value] of new URLSearchParams(text)) {
    const before = query[name];
    query[name] = before === undefined ? value : [before, value].flat();
  }
  return query;
}

const parse = (text: string) => filterOf(runFilterSchema.parse(parseQuery(text)));

test('what a link prints, its list reads back', () => {
  fc.assert(
    fc.property(anyFilter, fc.constantFrom(undefined, 'tenant-dashboard'), (members, from) => {
      const filter = { ...members, ...(from && { from }) };
      expect(parse(printFilter(filter))).toEqual(filter);
    }),
  );
});

test('ids of any characters survive a link', () => {
  const id = fc
    .string({ minLength: 1, maxLength: 20, unit: 'grapheme' })
    .filter((text) => idSchema.safeParse(text).success);
  fc.assert(
    fc.property(id, id, (workspace, tenant) => {
      const filter = { workspace: [workspace], tenant: [tenant] };
      expect(parse(printFilter(filter))).toEqual(filter);
    }),
  );
});

test('order and repetition of values mean nothing', () => {
  expect(parse('status=running&status=queued&status=running')).toEqual({ status: ['queued', 'running'] });
});

test('the empty tenant is the tenantless runs, and no other parameter may be empty', () => {
  expect(parse('tenant=')).toEqual({ tenant: [''] });
  expect(runFilterSchema.safeParse({ workspace: '' }).success).toBe(false);
  expect(runFilterSchema.safeParse({ active: '' }).success).toBe(false);
});

test.each(RUN_FILTER_FIELDS.filter((field) => !['workspace', 'tenant', 'type'].includes(field)))(
  'an unknown value of %s is refused, with the allowed ones',
  (field) => {
    const parsed = runFilterSchema.safeParse({ [field]: 'No Such' });
    expect(parsed.success).toBe(false);
    expect(parsed.error?.issues[0]?.message).toMatch(/(must be|expected) one of|name of a surface/);
  },
);

test('a list refuses the filters it has no columns for', () => {
  const schema = z.strictObject(filterFields('type'));
  expect(schema.safeParse({ type: 'sync' }).success).toBe(true);
  expect(schema.safeParse({ status: 'queued' }).success).toBe(false);
});

test('every surface is a name that `from` accepts', () => {
  for (const { name } of surfaces) expect(parse(`from=${name}`)).toEqual({ from: name });
});

test('a link names its surface, and instant and generation only where the reader did', () => {
  const filter = { workspace: ['a/b'], active: true };
  expect(runsHref('/admin/operations', filter, { from: 'operations-hub' })).toBe(
    '/admin/operations?workspace=a%2Fb&active=true&from=operations-hub',
  );
  const context = { from: 'system-runs', asOf: '2026-01-01T00:00:00.000Z', generation: 3 };
  expect(runHref('/system/ops/runs', 'a/b?c', context)).toBe(
    '/system/ops/runs/a%2Fb%3Fc?from=system-runs&asOf=2026-01-01T00%3A00%3A00.000Z&generation=3',
  );
});

describe('the ranges that a list is merged from', () => {
  const scopes: Scope[] = [
    EVERYTHING,
    { kind: 'grants', grants: [] },
    { kind: 'grants', grants: [{ workspaceId: 'w1', tenantIds: null }] },
    { kind: 'grants', grants: [{ workspaceId: 'w1', tenantIds: ['t1', 't2'] }] },
  ];

  test('all have the same members, and there is always one', () => {
    fc.assert(
      fc.property(anyFilter, fc.constantFrom(...scopes), (filter, scope) => {
        const ranges = rangesOf({ filter, scope });
        expect(ranges.length).toBeGreaterThan(0);
        expect(ranges.length).toBeLessThan(100);
        expect(new Set(ranges.map((range) => Object.keys(range).join()))).toHaveProperty('size', 1);
      }),
    );
  });

  test('a stuck run is looked for among the pending only', () => {
    const ranges = rangesOf({ filter: { problemClass: ['active_stale_attention'] }, scope: EVERYTHING });
    expect(ranges).toEqual([{ problem_class: 'none', outcome: 'pending' }]);
  });

  test('a tenant that is the only one in sight is looked for by itself', () => {
    const [range] = rangesOf({ filter: {}, scope: scopes[3]! });
    expect(range).toMatchObject({ workspace: 'w1', tenant: 't1' });
  });

  test('a tenant that is granted beside its whole workspace is not the only one in sight', () => {
    const grants = [['t1'], null].map((tenantIds) => ({ workspaceId: 'w1', tenantIds }));
    expect(rangesOf({ filter: {}, scope: { kind: 'grants', grants } })[0]).not.toHaveProperty('tenant');
  });

  test('a tenant of one workspace is not looked for in the others', () => {
    const grants = [
      { workspaceId: 'w1', tenantIds: ['t1'] },
      { workspaceId: 'w2', tenantIds: null },
    ];
    expect(rangesOf({ filter: {}, scope: { kind: 'grants', grants } })[0]).not.toHaveProperty('tenant');
  });

  test('of a great many workspaces none is looked for by itself', () => {
    const workspace = Array.from({ length: 9 }, (_, index) => `w${index}`);
    expect(rangesOf({ filter: { workspace }, scope: EVERYTHING })[0]).not.toHaveProperty('workspace');
  });
});
