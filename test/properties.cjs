// The property tests with other cases than the gate's, and many more of them. PROPERTY_SEED repeats a run, PROPERTY_TIMES
// says how many times the gate's cases. Further arguments go to jest.
const { spawn } = require('node:child_process');
const { randomInt } = require('node:crypto');
const { readdirSync, readFileSync } = require('node:fs');
const { join } = require('node:path');

const { PROPERTY_SEED = String(randomInt(2 ** 31)), PROPERTY_TIMES = '20' } = process.env;

const files = readdirSync(__dirname, { recursive: true })
  .filter((file) => file.endsWith('.spec.ts'))
  .map((file) => join(__dirname, file))
  .filter((file) => readFileSync(file, 'utf8').includes("support/properties'"));

const again = `PROPERTY_SEED=${PROPERTY_SEED} PROPERTY_TIMES=${PROPERTY_TIMES} npm run test:properties`;
console.log(`${PROPERTY_TIMES} times the gate's cases; to repeat them: ${again}`);
const jest = spawn(
  process.execPath,
  [require.resolve('jest/bin/jest'), '--runTestsByPath', ...files, ...process.argv.slice(2)],
  { stdio: 'inherit', env: { ...process.env, PROPERTY_SEED, PROPERTY_TIMES } },
);
jest.once('close', (code) => {
  if (code !== 0) console.log(`to repeat them: ${again}`);
  process.exitCode = code ?? 1;
});
