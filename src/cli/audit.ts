import { surfaces } from '../../projections/surfaces';
import { counted } from '../counted';
import { liveGeneration } from '../projector/generations';
import type { AuditReport } from '../replay/audit';
import type { AuditDifference } from '../replay/audit-differences';
import { auditInLooks } from '../replay/audit-looks';
import { recordAuditResult } from '../replay/audit-results';
import { auditSurfaces } from '../replay/audit-surfaces';
import type { Runtime } from '../runtime';
import { table } from './output';
import type { Output } from './output';
import { withRuntime } from './with-runtime';

export interface AuditFlags {
  readonly sample: number;
  readonly surfaces?: boolean;
  readonly asOf?: string;
}

const SHOWN = 20;

/** Checks the live generation: random runs against the log, or every table against the run facts. Exit code 1 if they differ. */
export async function audit(output: Output, flags: AuditFlags): Promise<void> {
  await withRuntime({ migrate: false }, async (runtime) => {
    if (flags.surfaces) {
      const asOf = flags.asOf ?? runtime.clock.now();
      const generation = await live(runtime);
      const report = await auditSurfaces({ ...runtime, surfaces }, { generation, asOf });
      const what = `${counted(report.runs, 'run')} in ${counted(report.tables, 'table')} of generation ${report.generation}, as of ${asOf}`;
      await keepFindings(runtime, report);
      tell(output, report, what);
    } else {
      const report = await auditInLooks(
        { ...runtime, surfaces },
        { generation: await live(runtime), sample: flags.sample, random: Math.random },
      );
      await keepFindings(runtime, report);
      tell(
        output,
        report,
        `${counted(report.runs, 'run')} of generation ${report.generation} folded anew from the log`,
      );
    }
  });
}

/** For status and metrics, and for replays: rows that were found wrong are not to be copied. */
async function keepFindings({ pool }: Runtime, report: AuditReport): Promise<void> {
  if (report.differences > 0) await recordAuditResult(pool, report);
}

/** As it is now: opening the runtime may have been before a cutover. */
async function live({ pool, generation }: Runtime) {
  return (await liveGeneration(pool)) ?? generation;
}

function tell(output: Output, report: AuditReport, what: string): void {
  if (report.differences > 0) process.exitCode = 1;
  output.result(report, ({ position, differences, found }) => [
    `${what}, at position ${position}: ${differences === 0 ? 'no difference' : counted(differences, 'difference')}`,
    ...(differences === 0
      ? []
      : [
          '',
          ...table(
            ['run', 'table', 'column', 'stored', 'expected'],
            found
              .slice(0, SHOWN)
              .map((one) => [
                whereOf(one),
                one.table,
                one.column,
                JSON.stringify(one.stored),
                JSON.stringify(one.expected),
              ]),
          ),
          ...(differences > SHOWN ? [`and ${differences - SHOWN} more; --json prints the first 100`] : []),
        ]),
  ]);
}

function whereOf({ runId, cell }: AuditDifference): string {
  return runId ?? Object.values(cell ?? {}).join(' ');
}
