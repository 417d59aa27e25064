import type { Benchmark } from './bench-context';
import { figure } from './figures';
import { measureImport } from './import.bench';
import { measureProjection } from './projection.bench';

const AIM_MB = 512;

export const memoryBenchmark: Benchmark = {
  name: 'memory',
  about:
    'The most memory (RSS) that the Node processes of the import and of the projection above ever had, as the ' +
    'operating system counted it. Figures: memory.import, memory.projection',
  async run(context) {
    const imported = await measureImport(context);
    const { measured: projected } = await measureProjection(context);
    context.record(
      figure('memory.import', imported.peakMb, 'MB', { aim: AIM_MB }),
      figure('memory.projection', projected.peakMb, 'MB', { aim: AIM_MB }),
    );
  },
};
