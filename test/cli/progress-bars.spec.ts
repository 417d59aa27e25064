import { progressBars } from '../../src/cli/replay-build';

test('the bar of a build that begins anew after a kill stood at nothing, of what was left before', () => {
  const bars: { readonly total: number; done: number; of: number }[] = [];
  const shown = progressBars(
    {
      json: false,
      line: () => undefined,
      result: () => undefined,
      progress: (_name, _unit, total) => {
        const bar = { total, done: 0, of: 0 };
        bars.push(bar);
        return {
          update: (done, { total: of = 0 } = {}) => Object.assign(bar, { done, of }),
          stop: () => undefined,
        };
      },
    },
    5,
  );
  for (const done of [42_624, 0, 1_000]) shown.show({ phase: 'loading', unit: 'runs', done, total: 54_043 });
  expect(bars).toEqual([
    { total: 11_419, done: 0, of: 11_419 },
    { total: 54_043, done: 1_000, of: 54_043 },
  ]);
});
