import { z } from 'zod';
import { TERMINAL_OUTCOMES, idSchema } from '../events/operation-run-events';
import type { TerminalOutcome } from '../events/operation-run-events';
import defaultPolicyFile from './default-policy.json';

/** What a completed run may be classed as: `active_stale_attention` is for runs that can still be heard from. */
export const TERMINAL_CLASSES = ['none', 'terminal_follow_up'] as const;
export type TerminalClass = (typeof TERMINAL_CLASSES)[number];

/** Keeps every deadline within what PostgreSQL and a JavaScript Date can hold; who wants longer wants `null`. */
const MAX_SECONDS = 10 * 365 * 86_400;
/** Instants are no finer than microseconds, and nobody means less. */
const MIN_SECONDS = 0.001;

const seconds = (or: string) => {
  const error = `must be a number of seconds from ${MIN_SECONDS} to ${MAX_SECONDS} (ten years)${or}`;
  return z.number({ error }).min(MIN_SECONDS, { error }).max(MAX_SECONDS, { error });
};
const staleAfter = seconds(', or null for never').nullable();
/** Far more than anybody means, and small enough that a limit in seconds stays a number of seconds. */
const MAX_HEARTBEATS = 100_000;
const heartbeats = {
  error: `must be a whole number of heartbeats from 1 to ${MAX_HEARTBEATS}, or null for never`,
};
const terminalClass = z.enum(TERMINAL_CLASSES, {
  error: `must be one of ${TERMINAL_CLASSES.join(', ')}: a completed run is never stale`,
});
const ruleFields = {
  /** How long a run may wait for a worker before it counts as stuck. `null`: for ever. */
  queuedStaleAfterSeconds: z.exactOptional(staleAfter),
  /** How often a worker of this type promises a sign of life. */
  heartbeatEverySeconds: z.exactOptional(seconds('')),
  /** How long a running run may be silent before it counts as stuck. `null`: for ever. */
  runningStaleAfterSeconds: z.exactOptional(staleAfter),
  /**
   * For how many heartbeat intervals a running run's counts may stand still before it counts as stuck although it beats.
   * `null` (the default): for ever. Classifier 1 does not look at it; see the rule at `classifierV2`.
   */
  stalledAfterHeartbeats: z.exactOptional(
    z.int(heartbeats).positive(heartbeats).max(MAX_HEARTBEATS, heartbeats).nullable(),
  ),
  /** How long after its last sign of life the reconciler may fail the run; see the rule at `classifierV1`. */
  reconcileAfterSeconds: z.exactOptional(seconds('; to leave runs alone, set action to "none"')),
  action: z.exactOptional(z.enum(['none', 'fail'], { error: 'must be one of none, fail' })),
  retryable: z.exactOptional(z.boolean({ error: 'must be true or false' })),
};
const ruleSchema = z.strictObject(ruleFields);
const ruleNames = Object.keys(ruleFields);

/** The policy as a file: every part optional, nothing unknown. */
export const policyFileSchema = z.strictObject({
  defaults: z.exactOptional(ruleSchema),
  types: z.exactOptional(z.record(idSchema, ruleSchema)),
  outcomeClasses: z.exactOptional(z.partialRecord(z.enum(TERMINAL_OUTCOMES), terminalClass)),
  reasonCodes: z.exactOptional(z.record(idSchema, terminalClass)),
});

type RuleFields = z.infer<typeof ruleSchema>;
export type PolicyRule = Required<RuleFields>;

/** A policy with its defaults filled in. Its JSON is a policy file again, so a stored version reads back the same. */
export interface Policy {
  readonly defaults: PolicyRule;
  readonly types: Readonly<Record<string, RuleFields>>;
  readonly outcomeClasses: Readonly<Record<TerminalOutcome, TerminalClass>>;
  readonly reasonCodes: Readonly<Record<string, TerminalClass>>;
}

/** A policy under the number by which generations and evidence name it. Versions never change. */
export interface VersionedPolicy {
  readonly version: number;
  readonly policy: Policy;
}

/** A policy file that cannot be used. Lists every problem, each with the path of the field at fault. */
export class PolicyError extends Error {
  override readonly name = 'PolicyError';
  constructor(readonly problems: readonly string[]) {
    super(`the policy cannot be used:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
  }
}

/** A policy file that cannot be read at all. */
export class PolicyFileError extends Error {
  override readonly name = 'PolicyFileError';
}

const BUILT_IN_RULE: PolicyRule = {
  queuedStaleAfterSeconds: 600,
  heartbeatEverySeconds: 60,
  runningStaleAfterSeconds: 900,
  stalledAfterHeartbeats: null,
  reconcileAfterSeconds: 1800,
  action: 'fail',
  retryable: true,
};

const BUILT_IN_CLASSES: Record<TerminalOutcome, TerminalClass> = {
  succeeded: 'none',
  partially_succeeded: 'terminal_follow_up',
  failed: 'terminal_follow_up',
  blocked: 'terminal_follow_up',
  cancelled: 'none',
};

/** Reads the text of a policy file. Throws PolicyFileError for what is not JSON, and what `parsePolicy` throws. */
export function policyOfText(text: string): Policy {
  let json: unknown;
  let shadowed = false;
  try {
    // Some editors begin a file with a byte order mark.
    json = JSON.parse(text.replace(/^\uFEFF/, ''), (key, value: unknown) => {
      shadowed ||= key === '__proto__';
      return value;
    });
  } catch (cause) {
    throw new PolicyFileError(`is not JSON: ${(cause as Error).message}`);
  }
  // Whatever copies an object passes this name over, and the entry would be lost without a word.
  if (shadowed) throw new PolicyFileError('has a field "__proto__", which nothing can be called');
  return parsePolicy(json);
}

/** Reads a policy file's JSON and fills in what it leaves out. Throws PolicyError with all problems at once. */
export function parsePolicy(json: unknown): Policy {
  const file = policyFileSchema.safeParse(json);
  if (!file.success) throw new PolicyError(file.error.issues.flatMap(problemsOf));
  const { defaults, types, outcomeClasses, reasonCodes } = file.data;
  return {
    defaults: { ...BUILT_IN_RULE, ...defaults },
    types: types ?? {},
    outcomeClasses: { ...BUILT_IN_CLASSES, ...outcomeClasses },
    reasonCodes: reasonCodes ?? {},
  };
}

/** The policy of a fresh installation, from `default-policy.json` beside this file. */
export function defaultPolicy(): Policy {
  return parsePolicy(defaultPolicyFile);
}

const resolvedRules = new WeakMap<Policy, ReadonlyMap<string, PolicyRule>>();

/** The rule for runs of `type`: its own entry over the defaults. Resolved once per policy object. */
export function ruleFor(policy: Policy, type: string): PolicyRule {
  let rules = resolvedRules.get(policy);
  if (!rules) {
    // A Map, because types are other systems' words and `policy.types['constructor']` is not an entry.
    const entries = Object.entries(policy.types);
    rules = new Map(entries.map(([name, fields]) => [name, { ...policy.defaults, ...fields }]));
    resolvedRules.set(policy, rules);
  }
  return rules.get(type) ?? policy.defaults;
}

/** For how many seconds the counts of a running run may stand still; null for ever. At most as long as any limit. */
export function stallLimitSeconds(rule: PolicyRule): number | null {
  const { stalledAfterHeartbeats: beats, heartbeatEverySeconds: beat } = rule;
  return beats === null ? null : Math.min(beats * beat, MAX_SECONDS);
}

/** What a valid policy says that its author may not have meant. One sentence each; empty when there is nothing to say. */
export function policyWarnings(policy: Policy): string[] {
  const ofDefaults = ruleWarnings(policy.defaults);
  const warnings = ofDefaults.map((text) => `defaults: ${text}`);
  for (const type of Object.keys(policy.types)) {
    // What a type merely inherits has been said of the defaults.
    const own = ruleWarnings(ruleFor(policy, type)).filter((text) => !ofDefaults.includes(text));
    warnings.push(...own.map((text) => `types.${type}: ${text}`));
  }
  for (const outcome of TERMINAL_OUTCOMES) {
    if (outcome !== 'succeeded' && outcome !== 'cancelled' && policy.outcomeClasses[outcome] === 'none')
      warnings.push(
        `outcomeClasses.${outcome}: runs that end so ask for no follow-up and count nowhere as a problem`,
      );
  }
  return warnings;
}

function ruleWarnings(rule: PolicyRule): string[] {
  const warnings: string[] = [];
  const { heartbeatEverySeconds: beat, reconcileAfterSeconds: reconcileAfter } = rule;
  const running = rule.runningStaleAfterSeconds;
  if (running !== null && running < 3 * beat)
    warnings.push(
      `runningStaleAfterSeconds ${running} is less than three times heartbeatEverySeconds ${beat}: ` +
        'a worker that misses a beat or two shows as stuck',
    );
  warnings.push(...stallWarnings(rule));
  if (rule.action === 'none') return warnings;
  for (const field of ['queuedStaleAfterSeconds', 'runningStaleAfterSeconds'] as const) {
    const staleAfter = rule[field];
    if (staleAfter !== null && reconcileAfter <= staleAfter)
      warnings.push(
        `reconcileAfterSeconds ${reconcileAfter} is not later than ${field} ${staleAfter}: ` +
          `such runs are failed after ${staleAfter + beat} s, one heartbeat interval past the threshold`,
      );
  }
  return warnings;
}

function stallWarnings(rule: PolicyRule): string[] {
  const { stalledAfterHeartbeats: beats, runningStaleAfterSeconds: running } = rule;
  const limit = stallLimitSeconds(rule);
  if (limit === null || running === null) return [];
  if (limit < running)
    return [
      `stalledAfterHeartbeats ${beats} is ${limit} s, less than runningStaleAfterSeconds ${running}: under classifier 2 ` +
        `a run that has told counts shows as stuck after ${limit} s without new ones, silent or not`,
    ];
  return [];
}

const KNOWN_FIELDS: Record<string, readonly string[]> = {
  '': Object.keys(policyFileSchema.shape),
  defaults: ruleNames,
  types: ruleNames,
};

type Issue = z.core.$ZodIssue;

function problemsOf(issue: Issue): string[] {
  if (issue.code === 'unrecognized_keys') {
    const known = KNOWN_FIELDS[String(issue.path[0] ?? '')] ?? [];
    return issue.keys.map((key) =>
      key === 'policy' && issue.path.length === 0
        ? 'policy: unknown field; what stands in it is a policy, and the rest around it is not'
        : `${pathText([...issue.path, key])}: unknown field; known are ${known.join(', ')}`,
    );
  }
  if (issue.code === 'invalid_key') {
    const isOutcome = issue.path[0] === 'outcomeClasses';
    const faults = isOutcome
      ? [`unknown outcome; known are ${TERMINAL_OUTCOMES.join(', ')}`]
      : issue.issues.map(({ message }) => `no run can have this name: ${message}`);
    return faults.map((fault) => `${pathText(issue.path)}: ${fault}`);
  }
  if (issue.code === 'invalid_type' && (issue.expected === 'object' || issue.expected === 'record'))
    return [`${pathText(issue.path)}: must be an object`];
  return [`${pathText(issue.path)}: ${issue.message}`];
}

/** `types["nightly.sync"].action`, so that a dot in a name is not mistaken for a step. */
function pathText(path: readonly PropertyKey[]): string {
  const steps = path.map((step) => {
    const name = String(step);
    if (/^[\w-]{1,200}$/.test(name)) return `.${name}`;
    return `[${JSON.stringify(name.length > 200 ? `${name.slice(0, 200)}…` : name)}]`;
  });
  return steps.join('').replace(/^\./, '') || '(the whole file)';
}
