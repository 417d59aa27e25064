import type { Task } from './bench-context';
import { runTask } from './tasks';

// A process of its own for one task: its memory is that of the task and of nothing else.
process.once('message', (task: Task) => {
  runTask(task).then(
    (measured) => process.send!({ measured }, () => process.disconnect()),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
});
