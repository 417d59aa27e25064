import { counted } from '../tools/counted';
import type { listAuditEntries } from '../replay/audit-entries';
import type { CutoverCheck } from '../replay/cutover';
import type { ReplayPlan } from '../replay/replay-plan';
import type { ReplayStatus } from '../replay/replay-status';
import type { Comparison } from '../replay/transition-matrix';
import { table } from './output';

/** What a replay's `unit` counts, as one of them is called. */
const UNIT = { events: 'event', runs: 'run' } as const;

export function planLines(plan: ReplayPlan): string[] {
  const { from, to, madeBy, eventsToRead, runsToRead, estimatedSeconds, assumedPerSecond } = plan;
  const work =
    madeBy === 'facts'
      ? `from the run facts of generation ${from.generation}: ${counted(runsToRead, 'run')} to read`
      : `from the log: ${counted(eventsToRead, 'event')} to read`;
  const assumed =
    assumedPerSecond === null
      ? ''
      : ` at an assumed ${count(assumedPerSecond)} ${madeBy === 'facts' ? 'runs' : 'events'}/s: no such build was measured yet`;
  return [
    `generation ${from.generation}: classifier v${from.classifierVersion}, policy ${from.policyVersion} -> ` +
      `classifier v${to.classifierVersion}, policy ${to.policyVersion}, judged at ${plan.asOf}`,
    `${work}, about ${seconds(estimatedSeconds)}${assumed}`,
    ...comparisonLines(plan),
  ];
}

/** Of each workspace in which a run changes class, the matrix and samples with their reasons. */
export function comparisonLines({ matrix, samples, ...totals }: Comparison): string[] {
  const workspaces = [...new Set(matrix.map(({ workspaceId }) => workspaceId))];
  const touched = workspaces.filter((workspace) =>
    matrix.some((one) => one.workspaceId === workspace && one.from !== one.to),
  );
  const same = workspaces.length - touched.length;
  const of = <T extends { readonly workspaceId: string }>(rows: readonly T[], workspace: string) =>
    rows.filter(({ workspaceId }) => workspaceId === workspace);
  return [
    totalLine(totals),
    ...touched.flatMap((workspace) => [
      '',
      `workspace ${workspace}`,
      ...table(
        ['from', 'to', 'runs'],
        of(matrix, workspace).map(({ from, to, runs }) => [from, from === to ? 'unchanged' : to, runs]),
      ),
      ...table(
        ['sample', 'to', 'because'],
        of(samples, workspace).map(({ runId, to, because }) => [runId, to, because]),
      ),
    ]),
    ...(same === 0 ? [] : ['', `${counted(same, 'workspace')} without a change`]),
  ];
}

function totalLine({
  runs,
  changed,
  changedPercent,
}: Pick<Comparison, 'runs' | 'changed' | 'changedPercent'>) {
  const all = counted(runs, 'run');
  const some = counted(changed, `of ${all} changes`, `of ${all} change`);
  return `${some} class (${changedPercent.toFixed(2)} %)`;
}

export function cutoverLines(
  result: CutoverCheck & { readonly applied: boolean; readonly refused: boolean },
): string[] {
  const { applied, refused, from, to, comparison, objections } = result;
  if (applied)
    return [
      totalLine(comparison),
      ...objections.map((objection) => `forced, although ${objection}`),
      `generation ${to} is live; ${from} is standby, to go back to with \`replay rollback\``,
    ];
  return [
    `generation ${from} (live) -> ${to}, judged at ${comparison.asOf}`,
    ...comparisonLines(comparison),
    '',
    ...objections.map((objection) => `objection: ${objection}`),
    refused
      ? 'the cutover would be refused; with --force and a --reason it would not'
      : `would make generation ${to} live and ${from} standby; add --apply`,
  ];
}

export function statusLines(status: ReplayStatus): string[] {
  const { id, state, classifierVersion, policyVersion, requestedBy, reason, failure } = status;
  const asked = requestedBy === null ? '' : `, asked for by ${requestedBy}`;
  return [
    `generation ${id} is ${stateWords(status)}`,
    `classifier v${classifierVersion}, policy ${policyVersion}, ${madeWords(status)}${asked}` +
      (reason === null ? '' : `: ${reason}`),
    progressWords(status),
    ...(failure === null ? [] : [`failure: ${failure}`]),
    ...(state === 'building' ? [builderWords(status)] : []),
  ];
}

export function statusTable(replays: readonly ReplayStatus[]): string[] {
  return table(
    ['generation', 'state', 'classifier', 'policy', 'made', 'done', 'took', 'by', 'reason'],
    replays.map((one) => [
      String(one.id),
      stateWords(one),
      `v${one.classifierVersion}`,
      String(one.policyVersion),
      madeWords(one),
      one.done === one.total
        ? counted(one.done, UNIT[one.unit])
        : `${count(one.done)}/${counted(one.total, UNIT[one.unit])}`,
      one.elapsedSeconds === null ? null : seconds(one.elapsedSeconds),
      one.requestedBy,
      // An abort is a state of its own to nobody but people.
      [one.reason, one.failure].filter((words) => words !== null).join('; ') || null,
    ]),
  );
}

export function logLines(entries: Awaited<ReturnType<typeof listAuditEntries>>): string[] {
  if (entries.length === 0) return ['nothing was done yet'];
  return table(
    ['time', 'actor', 'action', 'generation', 'reason', 'details'],
    entries.map((one) => [
      one.at,
      one.actor,
      one.action,
      one.generation === null ? null : String(one.generation),
      one.reason,
      detailWords(one.details),
    ]),
  );
}

/** `from 1, changedPercent 3.2, forced 2 runs go ...`: what there is, on one line. --json has it in full. */
function detailWords(details: object): string {
  return Object.entries(details)
    .filter(([, value]) => value !== null && !(Array.isArray(value) && value.length === 0))
    .map(([name, value]) => `${name} ${Array.isArray(value) ? value.join('; ') : String(value)}`)
    .join(', ');
}

function stateWords({ state, phase }: ReplayStatus): string {
  return state === 'building' ? `building (${phase})` : state;
}

function builderWords({ id, builtBy }: ReplayStatus): string {
  return builtBy === null
    ? `nobody builds it at the moment: a serving process takes it up within seconds, or \`opstruth replay resume ${id}\``
    : `built by ${builtBy}`;
}

function madeWords({ madeBy, until }: ReplayStatus): string {
  switch (madeBy) {
    case 'first':
      return 'the first one';
    case 'facts':
      return 'from run facts';
    case 'full':
      return until === null ? 'from the log' : `from the log until ${until}`;
  }
}

function progressWords({
  done,
  total,
  unit,
  ratePerSecond,
  etaSeconds,
  elapsedSeconds,
}: ReplayStatus): string {
  const all = counted(total, UNIT[unit]);
  const far = done === total ? all : `${count(done)} of ${all}`;
  const time = elapsedSeconds === null ? '' : ` in ${seconds(elapsedSeconds)}`;
  const rate = ratePerSecond === null ? '' : `, ${count(Math.round(ratePerSecond))}/s`;
  // Of a build that was interrupted, or begun anew: the figures before it say less.
  const others = done === total && ratePerSecond !== null && elapsedSeconds !== null;
  const of = others && ratePerSecond * elapsedSeconds > done * 1.05 ? ' while it was built' : '';
  const left = etaSeconds === null ? '' : `, about ${seconds(etaSeconds)} left`;
  return `${far}${time}${rate}${of}${left}`;
}

function count(value: number): string {
  return value.toLocaleString('en');
}

function seconds(value: number): string {
  return value < 60 ? `${value.toFixed(1)} s` : `${Math.floor(value / 60)} min ${Math.round(value % 60)} s`;
}
