/**
 * docs/CONFIGURATION.md lists the keys that the schema has, and the schema says something about each of them.
 */
import { readFileSync } from 'node:fs';
import test from 'ava';
import { renderForeignKeys, renderKeyTable } from '../../config/keyTable.js';
import { resolveConfig } from '../../config/resolve.js';
import { parseConfigFile } from '../../config/configFile.js';
import { configSchema } from '../../config/schema.js';
import type { ConfigSchema } from '../../config/schemaNodes.js';
import { expected, allPaths } from '../../config/validate.js';
import { variables } from '../../config/variables.js';

// Tests run in the folder of package.json, wherever they are compiled to.
const DOCUMENT = readFileSync('docs/CONFIGURATION.md', 'utf8');

/** What stands between `<!-- name -->` and `<!-- end of name -->`. */
function partOf(name: string): string {
  const [, after = ''] = DOCUMENT.split(`<!-- ${name} -->`);
  return (after.split(`<!-- end of ${name} -->`)[0] ?? '').trim();
}

test('the table of keys in the documentation is that of the schema', (t) => {
  t.is(partOf('keys'), renderKeyTable());
});

test('the list of keys without effect in the documentation is that of the schema', (t) => {
  t.is(partOf('keys without effect'), renderForeignKeys());
});

test('every example of a configuration in the documentation is one', (t) => {
  const examples = [...DOCUMENT.matchAll(/```yaml\n([^`]*)```/g)].map((match) => `${match[1]}`);
  t.true(examples.length > 2);
  for (const example of examples) {
    const { schemas: _, ...value } = parseConfigFile(example, 'example').value;
    t.notThrows(() => resolveConfig(value, { homeDirectory: '/home/user' }), example);
  }
});

test('every key says what it is for and what it takes', (t) => {
  const silent = everyNode(configSchema).filter(
    (schema) => schema.description === '' || expected(schema) === undefined,
  );
  t.deepEqual(silent, []);
  t.true(everyNode(configSchema).length > 100);
});

test('no two keys have the same variable', (t) => {
  const names = allPaths().map((path) => path.join('_').toUpperCase());
  t.deepEqual(names, [...new Set(names)]);
});

const VARIABLES: readonly (readonly [string, string])[] = [
  ['REPLICATION_SECUREPORT', 'replication.securePort'],
  ['OPERATIONSAPI_NETWORK_PORT', 'operationsApi.network.port'],
  ['NODE_HOSTNAME', 'node.hostname'],
  [
    'REPLICATION_MTLS_CERTIFICATEVERIFICATION_OCSP_ERRORCACHETTL',
    'replication.mtls.certificateVerification.ocsp.errorCacheTtl',
  ],
  ['ROOTPATH', 'rootPath'],
];

for (const [variable, key] of VARIABLES) {
  test(`${variable} sets ${key}`, (t) => {
    t.is(variables().get(variable)?.join('.'), key);
  });
}

function everyNode(schema: ConfigSchema): ConfigSchema[] {
  const children = [
    ...Object.values(schema.properties ?? {}),
    ...Object.values(schema.patternProperties ?? {}),
    ...(schema.items === undefined ? [] : [schema.items]),
  ];
  return [schema, ...children.flatMap(everyNode)];
}
