/** Parts of the write side, the read side and what serves both; a rule lists everything its part may import. */
const own = (folder) => `^src/${folder}/`;

function mayImportOnly(folder, allowed, comment) {
  return {
    name: `${folder}-imports`,
    comment,
    severity: 'error',
    from: { path: own(folder) },
    to: {
      path: '^(src|projections|bench|test)/',
      pathNot: [own(folder), ...allowed],
    },
  };
}

const CONFIG = '^src/config\\.ts$';

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    {
      name: 'no-cycles',
      comment: 'Two files that need each other are one file, or miss a third.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'no-tests-in-the-product',
      severity: 'error',
      from: { path: '^(src|projections|bench)/' },
      to: { path: '^test/' },
    },
    {
      name: 'no-development-packages-in-the-product',
      comment: 'They are absent after "npm ci --omit=dev".',
      severity: 'error',
      from: { path: '^(src|projections)/' },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'] },
    },
    mayImportOnly('tools', [], 'They know nothing of the product: anybody may use them.'),
    mayImportOnly('events', [], 'Events are the vocabulary: they know nobody.'),
    mayImportOnly('domain', [own('events')], 'Decisions depend on events alone.'),
    mayImportOnly(
      'event-store',
      [own('events'), own('db'), own('tools')],
      'The log knows events, not what they mean.',
    ),
    mayImportOnly(
      'classifier',
      [own('events'), own('domain')],
      'A pure function of run facts and policy: no storage, no transport.',
    ),
    mayImportOnly(
      'db',
      [own('events'), own('embedded-postgres'), own('tools'), CONFIG],
      'Connections know nothing of the product.',
    ),
    mayImportOnly(
      'embedded-postgres',
      [own('tools'), CONFIG],
      'A server knows nothing of what is kept in it.',
    ),
    mayImportOnly('observability', [own('events'), CONFIG], 'Logs and metrics know nothing of the product.'),
    mayImportOnly(
      'event-copy',
      [own('events'), own('event-store'), own('db'), own('embedded-postgres'), own('tools')],
      'A copy moves events without knowing what they mean.',
    ),
    {
      name: 'commands-do-not-read-projections',
      comment: 'A decision rests on its own stream; a read table may lag behind it.',
      severity: 'error',
      from: { path: own('commands') },
      to: { path: ['^src/(projector|audit|replay|reconciler)/', '^projections/'] },
    },
    {
      name: 'projector-has-no-side-effects',
      comment:
        'Projecting writes read tables and nothing else; replay is built on it, not the other way round.',
      severity: 'error',
      from: { path: own('projector') },
      to: { path: ['^src/(commands|audit|replay|reconciler|auth|http)/', '^projections/'] },
    },
    {
      name: 'an-audit-only-looks',
      comment: 'It compares what the projector has written with the log; operators act on what it finds.',
      severity: 'error',
      from: { path: own('audit') },
      to: { path: ['^src/(commands|replay|reconciler|auth|http)/', '^projections/'] },
    },
    {
      name: 'replay-has-no-side-effects',
      comment: 'A replay must not be able to issue a command.',
      severity: 'error',
      from: { path: own('replay') },
      to: { path: ['^src/(commands|reconciler)/', '^projections/'] },
    },
    {
      name: 'a-build-knows-no-operator',
      comment:
        'Operators ask for a generation, and builders make it: the registry of generations lies between them.',
      severity: 'error',
      from: { path: own('replay/build') },
      to: { path: own('replay'), pathNot: own('replay/build') },
    },
    {
      name: 'slices-stand-alone',
      comment: 'No surface builds on the code or the tables of another.',
      severity: 'error',
      from: { path: '^projections/([^/]+)/' },
      to: { path: '^projections/', pathNot: '^projections/$1/' },
    },
    {
      name: 'slice-imports',
      severity: 'error',
      from: { path: '^projections/[^/]+/' },
      to: {
        path: '^(src|bench|test)/',
        pathNot:
          '^src/((classifier|domain|events|db|http|auth)/|projector/(surface|run-columns|run-tables)\\.ts$)',
      },
    },
    {
      name: 'slices-take-only-types-of-the-domain',
      comment: 'A surface never folds or decides: the engine hands it a classified run.',
      severity: 'error',
      from: { path: '^projections/[^/]+/' },
      to: { path: own('domain'), dependencyTypesNot: ['type-only'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    // An import of types alone is a dependency as well: a rule that types may break is no rule.
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { conditionNames: ['require', 'node', 'default', 'types'] },
  },
};
