import {
  defaultPolicy,
  parsePolicy,
  PolicyError,
  policyWarnings,
  ruleFor,
  stallLimitSeconds,
} from '../../src/classifier/policy';

const builtInRule = {
  queuedStaleAfterSeconds: 600,
  heartbeatEverySeconds: 60,
  runningStaleAfterSeconds: 900,
  stalledAfterHeartbeats: null,
  reconcileAfterSeconds: 1800,
  action: 'fail',
  retryable: true,
};

/** The file of the design contract, as it stands there. */
const contractFile = {
  defaults: {
    queuedStaleAfterSeconds: 600,
    heartbeatEverySeconds: 60,
    runningStaleAfterSeconds: 900,
    reconcileAfterSeconds: 1800,
    action: 'fail',
  },
  types: { backup: { runningStaleAfterSeconds: 7200 } },
  outcomeClasses: { failed: 'terminal_follow_up' },
  reasonCodes: {},
};

function problemsOf(file: unknown): readonly string[] {
  try {
    parsePolicy(file);
  } catch (error) {
    if (error instanceof PolicyError) return error.problems;
    throw error;
  }
  return [];
}

describe('a policy file', () => {
  it('may be empty: everything has a built-in default', () => {
    expect(parsePolicy({})).toEqual({
      defaults: builtInRule,
      types: {},
      outcomeClasses: {
        succeeded: 'none',
        partially_succeeded: 'terminal_follow_up',
        failed: 'terminal_follow_up',
        blocked: 'terminal_follow_up',
        cancelled: 'none',
      },
      reasonCodes: {},
    });
  });

  it('keeps the built-in values of what it leaves out', () => {
    const policy = parsePolicy({ defaults: { action: 'none' }, outcomeClasses: { failed: 'none' } });
    expect(policy.defaults).toEqual({ ...builtInRule, action: 'none' });
    expect(policy.outcomeClasses).toMatchObject({ failed: 'none', blocked: 'terminal_follow_up' });
  });

  it('gives a type its own fields over the defaults, and any other type the defaults', () => {
    const policy = parsePolicy(contractFile);
    expect(ruleFor(policy, 'backup')).toEqual({ ...builtInRule, runningStaleAfterSeconds: 7200 });
    expect(ruleFor(policy, 'sync')).toEqual(builtInRule);
    expect(ruleFor(policy, 'constructor')).toEqual(builtInRule);
    expect(ruleFor(policy, 'backup')).toBe(ruleFor(policy, 'backup'));
  });

  it.each([
    ['queuedStaleAfterSeconds', null],
    ['heartbeatEverySeconds', 5],
    ['runningStaleAfterSeconds', 0.5],
    ['stalledAfterHeartbeats', 30],
    ['reconcileAfterSeconds', 86_400],
    ['action', 'none'],
    ['retryable', false],
  ])('lets a type set %s alone', (field, value) => {
    const policy = parsePolicy({ types: { sync: { [field]: value } } });
    expect(ruleFor(policy, 'sync')).toEqual({ ...builtInRule, [field]: value });
  });

  it('reads back the same from the JSON of the parsed policy', () => {
    const policy = parsePolicy({ ...contractFile, reasonCodes: { quota: 'none' } });
    expect(parsePolicy(JSON.parse(JSON.stringify(policy)))).toEqual(policy);
  });

  it.each([
    ['[]', [], '(the whole file): must be an object'],
    ['no object', 7, '(the whole file): must be an object'],
    [
      'an unknown part',
      { default: {} },
      'default: unknown field; known are defaults, types, outcomeClasses, reasonCodes',
    ],
    [
      'an unknown field of a type',
      { types: { backup: { runningStaleAfter: 1 } } },
      'types.backup.runningStaleAfter: unknown field; known are queuedStaleAfterSeconds, heartbeatEverySeconds, ' +
        'runningStaleAfterSeconds, stalledAfterHeartbeats, reconcileAfterSeconds, action, retryable',
    ],
    [
      'a zero threshold',
      { defaults: { queuedStaleAfterSeconds: 0 } },
      'defaults.queuedStaleAfterSeconds: must be a number of seconds from 0.001 to 315360000 (ten years), or null for never',
    ],
    [
      'a threshold in words',
      { types: { 'nightly.sync': { runningStaleAfterSeconds: '15m' } } },
      'types["nightly.sync"].runningStaleAfterSeconds: must be a number of seconds from 0.001 to 315360000 (ten years), or null for never',
    ],
    [
      'an endless heartbeat',
      { defaults: { heartbeatEverySeconds: null } },
      'defaults.heartbeatEverySeconds: must be a number of seconds from 0.001 to 315360000 (ten years)',
    ],
    [
      'a null reconciliation',
      { defaults: { reconcileAfterSeconds: null } },
      'defaults.reconcileAfterSeconds: must be a number of seconds from 0.001 to 315360000 (ten years); ' +
        'to leave runs alone, set action to "none"',
    ],
    [
      'a fraction of a heartbeat',
      { defaults: { stalledAfterHeartbeats: 1.5 } },
      'defaults.stalledAfterHeartbeats: must be a whole number of heartbeats from 1 to 100000, or null for never',
    ],
    [
      'no heartbeat at all',
      { defaults: { stalledAfterHeartbeats: 0 } },
      'defaults.stalledAfterHeartbeats: must be a whole number of heartbeats from 1 to 100000, or null for never',
    ],
    [
      'a type that no run can have',
      { types: { '': {} } },
      'types[""]: no run can have this name: Too small: expected string to have >=1 characters',
    ],
    [
      'a type with half a character',
      { types: { 'a\ud800': {} } },
      'types["a\\ud800"]: no run can have this name: must not contain half a surrogate pair',
    ],
    [
      'a reason code with a line break',
      { reasonCodes: { 'a\nb': 'none' } },
      'reasonCodes["a\\nb"]: no run can have this name: must not contain control characters',
    ],
    [
      'a beat of no time',
      { defaults: { heartbeatEverySeconds: 1e-300 } },
      'defaults.heartbeatEverySeconds: must be a number of seconds from 0.001 to 315360000 (ten years)',
    ],
    ['an unknown action', { defaults: { action: 'kill' } }, 'defaults.action: must be one of none, fail'],
    ['a retryable in words', { defaults: { retryable: 'yes' } }, 'defaults.retryable: must be true or false'],
    [
      'an unknown outcome',
      { outcomeClasses: { exploded: 'none' } },
      'outcomeClasses.exploded: unknown outcome; known are succeeded, partially_succeeded, failed, blocked, cancelled',
    ],
    [
      'a stale class for an outcome',
      { outcomeClasses: { failed: 'active_stale_attention' } },
      'outcomeClasses.failed: must be one of none, terminal_follow_up: a completed run is never stale',
    ],
    [
      'an unknown class of a reason',
      { reasonCodes: { quota: 'ignore' } },
      'reasonCodes.quota: must be one of none, terminal_follow_up: a completed run is never stale',
    ],
    ['types as a list', { types: ['backup'] }, 'types: must be an object'],
  ])('refuses %s', (_what, file, problem) => {
    expect(problemsOf(file)).toEqual([problem]);
  });

  it('is refused with all its problems at once', () => {
    const file = { defaults: { action: 'kill', x: 1 }, types: { backup: 3 } };
    expect(problemsOf(file)).toHaveLength(3);
    expect(() => parsePolicy(file)).toThrow(/^the policy cannot be used:\n {2}defaults\.action: /);
  });
});

describe('warnings', () => {
  it('are none for the default policy', () => {
    expect(policyWarnings(defaultPolicy())).toEqual([]);
    expect(policyWarnings(parsePolicy({}))).toEqual([]);
  });

  it('say when a worker may miss no beat, once per place that causes it', () => {
    const policy = parsePolicy({
      defaults: { heartbeatEverySeconds: 400 },
      types: {
        sync: { retryable: false },
        backup: { heartbeatEverySeconds: 3600, runningStaleAfterSeconds: 7200, action: 'none' },
      },
    });
    expect(policyWarnings(policy)).toEqual([
      expect.stringMatching(
        /^defaults: runningStaleAfterSeconds 900 is less than three times heartbeatEverySeconds 400/,
      ),
      expect.stringMatching(/^types\.backup: runningStaleAfterSeconds 7200 is less than three times/),
    ]);
  });

  it('say when runs are really failed, where reconcileAfterSeconds comes before the threshold', () => {
    expect(policyWarnings(parsePolicy(contractFile))).toEqual([
      'types.backup: reconcileAfterSeconds 1800 is not later than runningStaleAfterSeconds 7200: ' +
        'such runs are failed after 7260 s, one heartbeat interval past the threshold',
    ]);
    const left = parsePolicy({ defaults: { action: 'none', queuedStaleAfterSeconds: 1800 } });
    expect(policyWarnings(left)).toEqual([]);
  });

  it('say when the counts may stand still for less time than the run may be silent', () => {
    const policy = parsePolicy({ types: { sync: { stalledAfterHeartbeats: 10 } } });
    expect(policyWarnings(policy)).toEqual([
      'types.sync: stalledAfterHeartbeats 10 is 600 s, less than runningStaleAfterSeconds 900: under classifier 2 ' +
        'a run that has told counts shows as stuck after 600 s without new ones, silent or not',
    ]);
    expect(policyWarnings(parsePolicy({ types: { sync: { stalledAfterHeartbeats: 15 } } }))).toEqual([]);
  });

  it('say when a failure would count nowhere', () => {
    const policy = parsePolicy({ outcomeClasses: { failed: 'none', succeeded: 'none' } });
    expect(policyWarnings(policy)).toEqual([expect.stringMatching(/^outcomeClasses\.failed: /)]);
  });
});

describe('a limit on standing still', () => {
  it('is in seconds, and never longer than a deadline can be', () => {
    const limit = (file: unknown) => stallLimitSeconds(parsePolicy(file).defaults);
    expect(limit({})).toBeNull();
    expect(limit({ defaults: { stalledAfterHeartbeats: 30, heartbeatEverySeconds: 20 } })).toBe(600);
    expect(limit({ defaults: { stalledAfterHeartbeats: 100_000, heartbeatEverySeconds: 86_400 } })).toBe(
      315_360_000,
    );
  });
});

describe('the default policy', () => {
  it.each(['sync', 'backup', 'restore', 'export', 'import', 'report'])('has its own rule for %s', (type) => {
    const policy = defaultPolicy();
    expect(ruleFor(policy, type)).not.toEqual(policy.defaults);
  });

  it('leaves the built-in defaults as they are', () => {
    expect({ ...defaultPolicy(), types: {} }).toEqual(parsePolicy({}));
  });
});
