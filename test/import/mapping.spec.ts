import { ImportError } from '../../src/import/import-error';
import { MappingError, parseMapping, readMapping } from '../../src/import/mapping';
import { EVENT_ROWS, RUN_ROWS, sourceFolder } from './source-folder';

function problemsOf(json: unknown): readonly string[] {
  try {
    parseMapping(json);
  } catch (error) {
    if (error instanceof MappingError) return error.problems;
    throw error;
  }
  return [];
}

describe('a mapping', () => {
  it.each([EVENT_ROWS, RUN_ROWS])('of layout $layout is read', (mapping) => {
    expect(parseMapping(mapping)).toMatchObject({ dataset: mapping.dataset, layout: mapping.layout });
  });

  it('may leave out what a source does not have', () => {
    const { heartbeats: _heartbeats, tenant: _tenant, initiator: _initiator, ...rest } = EVENT_ROWS;
    const { started: _started, never_started: _neverStarted, ...runs } = RUN_ROWS;
    expect(parseMapping(rest)).toMatchObject({ tenant: [], initiator: [] });
    expect(problemsOf(runs)).toEqual([]);
  });

  const event = EVENT_ROWS.event;
  it.each<[string, unknown, RegExp[]]>([
    ['no layout', { ...EVENT_ROWS, layout: 'rows' }, [/^layout: must have the layout/]],
    ['a field nobody knows', { ...EVENT_ROWS, encoding: 'latin1' }, [/encoding/]],
    ['a missing field', { ...EVENT_ROWS, run_id: undefined }, [/^run_id: /]],
    [
      'a column that is not there',
      { ...EVENT_ROWS, run_id: ['job'] },
      [/^run_id\.0: no column is named "job"; there are time, run/],
    ],
    [
      'a column named twice',
      { ...RUN_ROWS, columns: [...RUN_ROWS.columns, 'id'] },
      [/^columns\.10: "id" is named twice/],
    ],
    [
      'an unknown outcome',
      { ...EVENT_ROWS, event: { ...event, outcomes: { OK: 'done' } } },
      [/^event\.outcomes\.OK: /],
    ],
    [
      'a code of two meanings',
      { ...EVENT_ROWS, event: { ...event, started: ['Q'] } },
      [/^event\.started: "Q" is also in event\.queued/],
    ],
    [
      'a reconciled code without outcome',
      { ...EVENT_ROWS, event: { ...event, reconciled: ['X'] } },
      [/^event\.reconciled: "X" has no outcome/],
    ],
    [
      'event rows without a time column',
      { ...EVENT_ROWS, time: { kind: 'iso8601', assume: 'UTC' } },
      [/^time\.column: event-rows need/],
    ],
    [
      'heartbeats without the time column',
      { ...EVENT_ROWS, heartbeats: { ...EVENT_ROWS.heartbeats, columns: ['at', 'run'] } },
      [/^heartbeats\.columns: no column is named "time"/],
    ],
    [
      'an epoch that is no instant',
      { ...EVENT_ROWS, time: { ...EVENT_ROWS.time, epoch: 'yesterday' } },
      [/^time\.epoch: /],
    ],
    [
      'files outside the folder',
      { ...EVENT_ROWS, files: ['../*.csv', '/etc/*'] },
      [/^files\.0: must stay inside/, /^files\.1: must stay inside/],
    ],
    [
      'several wrong columns, each named',
      { ...RUN_ROWS, queued: 'a', completed: 'b', outcome: { ...RUN_ROWS.outcome, column: 'c' } },
      [/^queued: .*"a"/, /^completed: .*"b"/, /^outcome\.column: .*"c"/],
    ],
  ])('is refused for %s', (_why, mapping, expected) => {
    const problems = problemsOf(mapping);
    expect(problems).toHaveLength(expected.length);
    expected.forEach((pattern, index) => expect(problems[index]).toMatch(pattern));
  });

  it('is asked for when the folder has none, and named when it is not JSON', async () => {
    const folder = sourceFolder();
    await expect(readMapping(folder.path)).rejects.toThrow(ImportError);
    await expect(readMapping(folder.path)).rejects.toThrow(/holds raw files and a mapping\.json/);
    folder.file('mapping.json', ['{']);
    await expect(readMapping(folder.path)).rejects.toThrow(/mapping\.json is not JSON/);
    folder.remove();
  });
});
