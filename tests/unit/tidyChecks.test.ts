/**
 * Shows each check of scripts/tidy.ts failing on a source that breaks its rule, and passing on one that
 * comes close. The checkout itself is judged in tests/tidy.test.ts.
 */
import test from 'ava';
import { checkFunctionLengths, functionsOf } from '../../scripts/tidy/functionLength.js';
import { checkCycles, checkDeadFiles } from '../../scripts/tidy/graph.js';
import {
  checkFolders,
  checkImportsExist,
  checkPackagePlaces,
  checkPackagesDeclared,
} from '../../scripts/tidy/imports.js';
import { checkLinks, checkMentionedPages } from '../../scripts/tidy/links.js';
import { checkEnvironmentAccess, checkProtocolPurity } from '../../scripts/tidy/purity.js';
import { codeOf, commentsOf } from '../../scripts/tidy/sourceText.js';
import type { Problem, SourceFile } from '../../scripts/tidy/sourceText.js';
import { checkBannedWords, checkOpeningComments } from '../../scripts/tidy/words.js';

const sources = (texts: Readonly<Record<string, string>>): SourceFile[] =>
  Object.entries(texts).map(([path, text]) => ({ path, text }));

const places = (problems: readonly Problem[]): string[] =>
  problems.map((problem) => `${problem.path}:${problem.line}`);

const lines = (count: number): string => '  step();\n'.repeat(count);

test('code keeps its positions when comments, strings and regular expressions are blanked', (t) => {
  const text = "const a = 'if {'; // {\nconst b = /[/{]/g.test(`x${f({})}{`) / 2;\n";
  const code = codeOf(text);
  t.is(code.length, text.length);
  t.is(code.indexOf('const b'), text.indexOf('const b'));
  t.is(code.match(/[{}]/g)?.join(''), '{}');
  t.true(code.includes('/ 2'));
  t.is(commentsOf(text).trim(), '// {');
});

test('an import against the folder graph is reported with its line', (t) => {
  const files = sources({
    'protocol/ids.ts': '',
    'storage/store.ts': "import type { A } from '../protocol/ids.js';\n",
    'protocol/row.ts': "// first\nimport { b } from '../storage/store.js';\n",
    'server/api.ts': "export { b } from '../storage/store.js';\n",
    'index.ts': "const store = await import('./storage/store.js');\n",
    'config/load.ts': "import '../actors/node.js';\n",
    'actors/node.ts': "import { b } from '../storage/store.js';\n",
    'tests/a.test.ts': "import { b } from '../storage/store.js';\n",
  });
  t.deepEqual(places(checkFolders(files)), [
    'protocol/row.ts:2',
    'server/api.ts:1',
    'index.ts:1',
    'config/load.ts:1',
  ]);
});

test('only the program itself may go through the public door', (t) => {
  const files = sources({
    'index.ts': '',
    'server/cli.ts': "import { startNode } from '../index.js';\n",
    'server/api.ts': "import { startNode } from '../index.js';\n",
  });
  t.deepEqual(places(checkFolders(files)), ['server/api.ts:1']);
});

test('an import written in a string or a comment is none', (t) => {
  const files = sources({
    'storage/store.ts': '',
    'protocol/row.ts':
      "// import { b } from '../storage/store.js'\nconst text = `import '../storage/store.js'`;\n",
  });
  t.deepEqual(checkFolders(files), []);
});

for (const [name, path, allowed] of [
  ['nact', 'actors/peer.ts', 'actors/kernel/runner.ts'],
  ['nact', 'server/api.ts', 'tests/unit/kernel.test.ts'],
  ['ws', 'server/debug.ts', 'actors/transport/webSocket.ts'],
  ['level', 'actors/router.ts', 'storage/store.ts'],
  ['abstract-level', 'scripts/simulate.ts', 'scripts/bench/bare.ts'],
  ['msgpack-lite', 'protocol/row.ts', 'protocol/codec.ts'],
  ['ajv/dist/2020.js', 'server/api.ts', 'config/schema.ts'],
  ['@peculiar/webcrypto', 'actors/signer.ts', 'security/keys.ts'],
  ['fastify', 'actors/node.ts', 'server/api.ts'],
] as const) {
  test(`${name} may be imported by ${allowed} and not by ${path}`, (t) => {
    const text = `import { x } from '${name}';\n`;
    const files = sources({ [path]: text, [allowed]: text });
    t.deepEqual(places(checkPackagePlaces(files)), [`${path}:1`]);
  });
}

test('a relative import without a file is reported', (t) => {
  const files = sources({
    'protocol/ids.ts': '',
    'protocol/row.ts': "import './ids.js';\nimport './gone.js';\n",
  });
  t.deepEqual(places(checkImportsExist(files)), ['protocol/row.ts:2']);
});

test('what is published may not import what is only there for development', (t) => {
  const files = sources({
    'package.json': '{"dependencies":{"ws":"8"},"devDependencies":{"ava":"6"}}',
    'actors/peer.ts': "import ws from 'ws';\nimport test from 'ava';\nimport x from 'pino';\n",
    'tests/a.test.ts': "import test from 'ava';\nimport 'fast-check';\n",
  });
  t.deepEqual(places(checkPackagesDeclared(files)), [
    'actors/peer.ts:2',
    'actors/peer.ts:3',
    'tests/a.test.ts:2',
  ]);
});

for (const impure of [
  'const now = Date.now();',
  'const now = new Date();',
  'const text = Date();',
  'const luck = Math.random();',
  'setTimeout(run, 5);',
  'export async function decide() {}',
  'const later: Promise<void> = x;',
  'const home = process.env;',
  "import { readFileSync } from 'node:fs';",
]) {
  test(`protocol must not hold: ${impure}`, (t) => {
    const files = sources({ 'protocol/row.ts': `${impure}\n`, 'actors/a.ts': `${impure}\n` });
    t.deepEqual([...new Set(places(checkProtocolPurity(files)))], ['protocol/row.ts:1']);
  });
}

test('protocol may hold dates as values, checksums and the word process', (t) => {
  const text = `import { crc32 } from 'node:zlib';
const date = new Date(milliseconds);
const isDate = value instanceof Date; // Date.now() is the caller's business
const names = { process: 'Math.random' };
`;
  t.deepEqual(checkProtocolPurity(sources({ 'protocol/codec.ts': text })), []);
});

test('the environment is read in the configuration, the program, scripts and tests only', (t) => {
  const text = 'const home = process.env.HOME;\n';
  const files = sources({
    'config/load.ts': text,
    'server/cli.ts': text,
    'scripts/simulate.ts': text,
    'tests/a.test.ts': text,
    'ava.config.js': text,
    'config/defaults.ts': text,
    'actors/node.ts': 'const { env } = process;\n',
  });
  t.deepEqual(places(checkEnvironmentAccess(files)), ['config/defaults.ts:1', 'actors/node.ts:1']);
});

test('a cycle over three files is reported once, with its path', (t) => {
  const files = sources({
    'protocol/a.ts': "import './b.js';\n",
    'protocol/b.ts': "export { type C, c } from './c.js';\n",
    'protocol/c.ts': "import './a.js';\nimport './d.js';\n",
    'protocol/d.ts': '',
  });
  t.deepEqual(
    checkCycles(files).map((problem) => problem.message),
    ['import cycle: protocol/a.ts -> protocol/b.ts -> protocol/c.ts -> protocol/a.ts'],
  );
});

test('types and files that another process runs make no cycle', (t) => {
  const files = sources({
    'protocol/a.ts': "import { b } from './b.js';\n",
    'protocol/b.ts': "import type { A } from './a.js';\nexport type { A } from './a.js';\n",
    'server/cli.ts': "import './child.js';\n",
    'server/child.ts': "spawn(new URL('./cli.js', import.meta.url));\n",
  });
  t.deepEqual(checkCycles(files), []);
});

test('a file that only its own test imports is dead, a file that supports tests is not', (t) => {
  const files = sources({
    'index.ts': "export { a } from './actors/a.js';\n",
    'actors/a.ts': "new Worker(new URL('./worker.js', import.meta.url));\n",
    'actors/worker.ts': '',
    'actors/dead.ts': '',
    'tests/dead.test.ts':
      "import '../actors/dead.js';\nimport './support/used.js';\nfork('started');\n",
    'tests/support/used.ts': '',
    'tests/support/started.ts': "import './below.js';\n",
    'tests/support/below.ts': '',
    'tests/support/unused.ts': '',
  });
  t.deepEqual(places(checkDeadFiles(files)), ['actors/dead.ts:1', 'tests/support/unused.ts:1']);
});

test('what CI starts is no dead file, unless only a comment says so', (t) => {
  const files = sources({
    '.ci/run': "# node .ci/old.mjs\ncheck 10 'cluster' node .ci/smoke.mjs\n",
    '.ci/smoke.mjs': "import './below.mjs';\n",
    '.ci/below.mjs': '',
    '.ci/old.mjs': '',
  });
  t.deepEqual(places(checkDeadFiles(files)), ['.ci/old.mjs:1']);
});

for (const head of [
  'function work()',
  'export async function work<A, B extends C<D>>({ a, b }: X)',
  'const work = (a: number): Map<string, { b: number }> =>',
  'const work = async () =>',
  'class A {\n  static async work(a = f({})): Promise<void>',
  'class A {\n  #work(): asserts x is { y: string }',
  'const object = {\n  work(a: string): { b: number }',
]) {
  test(`a function of 72 lines is too long: ${head.replaceAll('\n', ' ')}`, (t) => {
    const text = (count: number): string => `${head} {\n${lines(count)}}\n`;
    const problems = checkFunctionLengths(sources({ 'actors/a.ts': text(70) }), {});
    t.is(problems.length, 1);
    t.regex(problems[0]?.message ?? '', /work has 72 lines, at most 70/);
    t.deepEqual(checkFunctionLengths(sources({ 'actors/a.ts': text(68) }), {}), []);
  });
}

for (const block of [
  'class A extends B<C>',
  'const table: Record<string, number> =',
  'interface A',
  'if (f(x))',
  'for (const a of b())',
  'switch (a)',
  'export const limits =',
]) {
  test(`braces that are no function may be long: ${block}`, (t) => {
    const files = sources({ 'actors/a.ts': `${block} {\n${lines(90)}}\n` });
    t.deepEqual(checkFunctionLengths(files, {}), []);
  });
}

test('the list of long functions only shrinks', (t) => {
  const files = sources({ 'actors/a.ts': `function work() {\n${lines(80)}}\n` });
  t.is(checkFunctionLengths(files, { 'actors/a.ts#work': 82 }).length, 0);
  t.is(checkFunctionLengths(files, { 'actors/a.ts#work': 81 }).length, 1);
  t.is(checkFunctionLengths(files, { 'actors/a.ts#work': 82, 'actors/a.ts#gone': 90 }).length, 1);
});

test('braces in strings, templates and comments do not count as code', (t) => {
  const text =
    "function work() {\n  return `}${f(`}`)}` + '}' + /}/.source; // }\n}\nfunction more() {}\n";
  t.deepEqual(
    functionsOf(text).map((body) => [body.name, body.lines]),
    [
      ['work', 3],
      ['more', 1],
    ],
  );
});

test('a file without a comment at its top is reported', (t) => {
  const comment = '/** Says in one line what this file is for. */\n';
  const files = sources({
    'actors/good.ts': `${comment}const a = 1;\n`,
    'server/cli.ts': `#!/usr/bin/env node\n${comment}`,
    'scripts/lines.mjs': '// Says in one line\n// what this file is for.\n',
    'actors/late.ts': `const a = 1;\n${comment}`,
    'actors/empty.ts': '/** */\n',
    'actors/name.ts': '/** name.ts */\n',
  });
  t.deepEqual(places(checkOpeningComments(files)), [
    'actors/late.ts:1',
    'actors/empty.ts:1',
    'actors/name.ts:1',
  ]);
});

for (const banned of [
  'class PeerManager {}',
  'const rowHelper = 1;',
  "import { a } from './stringUtils.js';\nconst StringUtils = a;",
  '// TODO later',
  'const FIXME = 1;',
  'let a: any;',
  'const a = b as any;',
  'const a = new Map<any, string>();',
  '// @ts-ignore',
  '// @ts-expect-error',
  'const a = b!.c;',
  'const a = f()!;',
  'let a!: string;',
]) {
  test(`this is banned: ${banned.replaceAll('\n', ' ')}`, (t) => {
    t.is(checkBannedWords(sources({ 'actors/a.ts': `${banned}\n` })).length, 1);
  });
}

test('file names that say nothing are banned', (t) => {
  const files = sources({ 'actors/helpers.ts': '', 'protocol/rowUtils.ts': '', 'actors/a.ts': '' });
  t.deepEqual(places(checkBannedWords(files)), ['actors/helpers.ts:1', 'protocol/rowUtils.ts:1']);
});

test('negation, inequality, strings and prose are not banned', (t) => {
  const text = `// any helper of the manager, many utils
if (!a || b !== c || d != e) f('Helper: any', \`TODO\`);
`;
  t.deepEqual(checkBannedWords(sources({ 'actors/a.ts': text })), []);
});

test('a test may say that a line must not compile', (t) => {
  t.deepEqual(checkBannedWords(sources({ 'tests/a.test.ts': '// @ts-expect-error wrong\n' })), []);
});

test('links to missing files, folders and headings are reported', (t) => {
  const files = sources({
    'docs/A.md':
      '# One two\n## One two\n[up](../README.md) [self](#one-two-1) [gone](B.md)\n[bad](#one-two-2)\n',
    'README.md':
      '# Top: it is `here`\n[a](docs/A.md#one-two "title") [folder](docs) [web](https://a.b/c)\n[no](docs/A.md#no)\n```\n[code](nothing.md)\n```\n',
  });
  t.deepEqual(places(checkLinks(files)), ['docs/A.md:3', 'docs/A.md:4', 'README.md:3']);
});

test('a comment or page that names a missing page of the documentation is reported', (t) => {
  const files = sources({
    'docs/A.md': 'see docs/B.md\n',
    'actors/a.ts': "// see docs/A.md\n// and docs/C.md\nconst path = 'docs/D.md';\n",
  });
  t.deepEqual(places(checkMentionedPages(files)), ['docs/A.md:1', 'actors/a.ts:2']);
});
