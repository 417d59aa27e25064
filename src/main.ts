import 'reflect-metadata';
import { fail, serve } from './cli/serve';

// The production start: settings from the environment, logs as JSON on standard output.
void serve().catch((error: unknown) => fail(error));
