// The checks that only read files, beside each other; the output of each comes in one piece when it is over.
const { spawn } = require('node:child_process');

const CHECKS = ['format', 'lint', 'typecheck', 'imports'];

function passes(check) {
  return new Promise((resolve, reject) => {
    const child = spawn('npm', ['run', check], {
      stdio: ['ignore', 'pipe', 'pipe'],
      shell: process.platform === 'win32',
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text) => (output += text));
    child.once('error', reject);
    child.once('close', (code) => {
      process.stdout.write(output);
      resolve(code === 0);
    });
  });
}

void Promise.all(CHECKS.map(passes)).then((passed) => {
  process.exitCode = passed.every(Boolean) ? 0 : 1;
});
