// Lets a child process of a test run TypeScript as jest does: node --require <this file> file.ts
const { createHash } = require('node:crypto');
const { mkdirSync, readFileSync, renameSync, writeFileSync } = require('node:fs');
const { join } = require('node:path');
const { transformSync, version } = require('@swc/core');

// Some sixty processes load some three hundred files each: what one has compiled serves the others.
const cache = join(__dirname, '..', '..', 'node_modules', '.cache', `swc-${version}`);
mkdirSync(cache, { recursive: true });
const settings = readFileSync(require.resolve('./swc-register.cjs'));

require.extensions['.ts'] = (module, filename) => {
  const source = readFileSync(filename, 'utf8');
  const compiled = join(
    cache,
    createHash('sha1').update(settings).update(filename).update(source).digest('hex'),
  );
  module._compile(read(compiled) ?? compile(source, filename, compiled), filename);
};

function read(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined; // not compiled yet
  }
}

function compile(source, filename, compiled) {
  const { code } = transformSync(source, {
    filename,
    sourceMaps: 'inline',
    module: { type: 'commonjs', ignoreDynamic: true },
    jsc: {
      target: 'es2023',
      parser: { syntax: 'typescript', decorators: true },
      transform: { legacyDecorator: true, decoratorMetadata: true, useDefineForClassFields: false },
      keepClassNames: true,
    },
  });
  // Whole or not at all, whoever else writes it at the same time.
  writeFileSync(`${compiled}.${process.pid}`, code);
  renameSync(`${compiled}.${process.pid}`, compiled);
  return code;
}
