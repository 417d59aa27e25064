import { surfaces } from '../../projections/surfaces';
import { counted } from '../tools/counted';
import type { AuditReport } from '../audit/audit';
import type { AuditDifference } from '../audit/audit-differences';
import { auditRuns, auditTables } from '../replay/run-audit';
import { table } from './output';
import type { Output } from './output';
import { withRuntime } from './with-runtime';

export interface AuditFlags {
  readonly sample: number;
  readonly surfaces?: boolean;
  readonly asOf?: string;
  readonly generation?: number;
}

const SHOWN = 20;

/** Checks the live generation, or another: random runs against the log, or every table against the run facts. Exit code 1 if they differ. */
export async function audit(output: Output, flags: AuditFlags): Promise<void> {
  await withRuntime({ migrate: false, anySurfaces: true }, async (runtime) => {
    const context = { ...runtime, surfaces };
    if (flags.surfaces) {
      const report = await auditTables(context, {
        generation: flags.generation,
        asOf: flags.asOf ?? runtime.clock.now(),
      });
      const { runs, tables, generation, asOf } = report;
      const what = `${counted(runs, 'run')} in ${counted(tables, 'table')} of generation ${generation}, as of ${asOf}`;
      tell(output, report, what);
    } else {
      const report = await auditRuns(context, { generation: flags.generation, sample: flags.sample });
      const { runs, generation } = report;
      tell(output, report, `${counted(runs, 'run')} of generation ${generation} folded anew from the log`);
    }
  });
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
