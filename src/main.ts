import 'reflect-metadata';
import { fail } from './cli/fail';
import { serve } from './cli/serve';

// The production start: settings from the environment, logs as JSON on standard output.
void serve().catch((error: unknown) => fail(error));
