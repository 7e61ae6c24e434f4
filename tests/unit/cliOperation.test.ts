/** `skein <operation>`: what is sent, what is printed, and the exit codes scripts rely on. */
import { readFile } from 'node:fs/promises';
import test, { type ExecutionContext } from 'ava';
import { resolveTarget } from '../../server/cli/client.js';
import { buildOperation } from '../../server/cli/operation.js';
import { startOperationsApi } from '../../server/operationsApi.js';
import { fakeNode, type FakeNode, type FakeNodeOptions } from '../support/fakeNode.js';
import { runCli } from '../support/runCli.js';

const ADMIN = { HDB_ADMIN_USERNAME: 'admin', HDB_ADMIN_PASSWORD: 'secret' };

const open = async (
  t: ExecutionContext,
  answers: FakeNodeOptions['answers'] = { echo: (operation) => operation },
): Promise<{ node: FakeNode; url: string }> => {
  const node = fakeNode({ answers });
  const door = await startOperationsApi(node);
  t.teardown(() => door.close());
  return { node, url: door.address };
};

for (const [fields, json, expected] of [
  [[], undefined, {}],
  [['table=dog'], undefined, { table: 'dog' }],
  [['limit=5', 'desc=true', 'value=null'], undefined, { limit: 5, desc: true, value: null }],
  [['ids=[1,"a"]'], undefined, { ids: [1, 'a'] }],
  [['value="5"'], undefined, { value: '5' }],
  [['value=a=b'], undefined, { value: 'a=b' }],
  [['value='], undefined, { value: '' }],
  [['value={broken'], undefined, { value: '{broken' }],
  [['table=cat'], '{"table":"dog","limit":1}', { table: 'cat', limit: 1 }],
  [[], '{"operation":"other"}', {}],
] as const) {
  test(`fields ${fields.join(' ')} and --json ${json ?? 'absent'} are sent as ${JSON.stringify(expected)}`, (t) => {
    t.deepEqual(buildOperation({ operation: 'x', fields, json }), { ...expected, operation: 'x' });
  });
}

for (const [url, username, password, expected] of [
  ['http://h:1', undefined, undefined, { url: 'http://h:1/' }],
  ['http://h:1', 'u', 'p:q', { url: 'http://h:1/', authorization: `Basic ${btoa('u:p:q')}` }],
  [
    'http://u:p%40q@h:1',
    'env',
    'env',
    { url: 'http://h:1/', authorization: `Basic ${btoa('u:p@q')}` },
  ],
] as const) {
  test(`target ${url} with user ${username ?? 'absent'} is resolved`, (t) => {
    t.deepEqual(resolveTarget({ url, username, password }), expected);
  });
}

test('an operation is sent with its fields and printed as YAML', async (t) => {
  const { node, url } = await open(t);
  const run = await runCli(['echo', 'table=dog', 'ids=[1,2]', '--url', url], {
    environment: ADMIN,
  });
  t.deepEqual(run, {
    code: 0,
    stdout: 'table: dog\nids:\n  - 1\n  - 2\noperation: echo\n',
    stderr: '',
  });
  t.is(node.executed[0]?.user?.username, 'admin');
});

test('options may stand before and after the operation, and --json is merged', async (t) => {
  const { url } = await open(t);
  const line = ['-o', 'json', 'echo', '--json', '{"table":"dog"}', '--url', url];
  const login = ['--username', 'reader', '--password', 'secret'];
  t.deepEqual(await runCli([...line, ...login]), {
    code: 0,
    stdout: '{\n  "table": "dog",\n  "operation": "echo"\n}\n',
    stderr: '',
  });
});

test('records are printed as a table with a column per field', async (t) => {
  const { url } = await open(t, {
    rows: () => [
      { id: 1, name: 'Ada' },
      { id: 2, tags: ['x'] },
    ],
  });
  const { code, stdout } = await runCli(['rows', '-o', 'table', '--url', url], {
    environment: ADMIN,
  });
  t.is(code, 0);
  const lines = stdout.split('\n').filter((line) => line.includes('│'));
  t.deepEqual(
    lines.map((line) => line.split('│').map((cell) => cell.trim())),
    [
      ['', 'id', 'name', 'tags', ''],
      ['', '1', 'Ada', '', ''],
      ['', '2', '', '["x"]', ''],
    ],
  );
});

test('SKEIN_ names for the credentials are understood as well', async (t) => {
  const { node, url } = await open(t);
  const environment = { SKEIN_ADMIN_USERNAME: 'reader', SKEIN_ADMIN_PASSWORD: 'secret' };
  t.is((await runCli(['echo', '--url', url], { environment })).code, 0);
  t.is(node.executed[0]?.user?.username, 'reader');
});

test('text that could steer a terminal is escaped in every format', async (t) => {
  const { url } = await open(t, { evil: () => [{ name: '\u001b[2J\u009b31m' }] });
  for (const format of ['yaml', 'json', 'table']) {
    const { stdout } = await runCli(['evil', '-o', format, '--url', url], { environment: ADMIN });
    t.regex(stdout, /(?:u001b|x1b|\\e)\[2J/i, format);
    t.notRegex(stdout, /(?!\n)\p{Cc}/u, format);
  }
});

interface ExitCase {
  readonly name: string;
  readonly line: readonly string[];
  readonly code: number;
  readonly stderr: RegExp;
}

const EXITS: readonly ExitCase[] = [
  {
    name: 'an operation the node refuses',
    line: ['sql'],
    code: 1,
    stderr: /^skein: Operation 'sql' not found\n$/,
  },
  {
    name: 'a wrong password',
    line: ['echo', '--username', 'admin', '--password', 'wrong'],
    code: 1,
    stderr: /^skein: Login failed\n$/,
  },
  {
    name: 'a field without a value',
    line: ['echo', 'table'],
    code: 2,
    stderr: /^skein: 'table' must be written as key=value\n$/,
  },
  {
    name: '--json that is no object',
    line: ['echo', '--json', '[1]'],
    code: 2,
    stderr: /^skein: --json must be a JSON object/,
  },
  {
    name: 'an unknown option',
    line: ['echo', '--colour'],
    code: 2,
    stderr: /unknown option '--colour'/,
  },
  {
    name: 'an unknown format',
    line: ['echo', '-o', 'xml'],
    code: 2,
    stderr: /Allowed choices are yaml, json, table/,
  },
  { name: 'nothing at all', line: [], code: 2, stderr: /Usage: skein \[command\]/ },
  {
    name: 'a URL that is none',
    line: ['echo', '--url', 'localhost:9925'],
    code: 2,
    stderr:
      /^skein: --url must be an http:\/\/ or https:\/\/ URL, for instance http:\/\/127\.0\.0\.1:9925, not 'localhost:9925'\n$/,
  },
  {
    name: 'nobody at that address',
    line: ['echo', '--url', 'http://127.0.0.1:9'],
    code: 3,
    stderr: /^skein: cannot reach http:\/\/127\.0\.0\.1:9\/: /,
  },
  {
    name: 'too many nodes',
    line: ['dev', '--nodes', '254'],
    code: 2,
    stderr: /^skein: --nodes must be from 1 to 253\n$/,
  },
  {
    name: 'a count that is no number',
    line: ['dev', '--nodes', 'x'],
    code: 2,
    stderr: /it must be a whole number/,
  },
];

for (const { name, line, code, stderr } of EXITS) {
  test(`${name} ends with exit code ${code} and a reason on standard error`, async (t) => {
    const { url } = await open(t);
    const target =
      line.includes('--url') || line.includes('dev') || line.length === 0 ? [] : ['--url', url];
    const run = await runCli([...line, ...target], { environment: ADMIN });
    t.is(run.code, code);
    t.is(run.stdout, '');
    t.regex(run.stderr, stderr);
  });
}

test('a node that closes the connection counts as unreachable', async (t) => {
  const drop = (): unknown => door.close().then(() => ({}));
  const node = fakeNode({ answers: { drop } });
  const door = await startOperationsApi(node);
  await door.close();
  t.is((await runCli(['drop', '--url', door.address], { environment: ADMIN })).code, 3);
});

test('--version prints the version of the package', async (t) => {
  const text = await readFile(new URL(import.meta.resolve('skein/package.json')), 'utf8');
  const { version } = JSON.parse(text) as { version: string };
  t.deepEqual(await runCli(['--version']), { code: 0, stdout: `${version}\n`, stderr: '' });
});

test('--help names every command and ends with 0', async (t) => {
  const { code, stdout } = await runCli(['--help']);
  t.is(code, 0);
  for (const word of ['start', 'dev', 'status', '--url', '--json', 'key=value']) {
    t.true(stdout.includes(word), word);
  }
  t.false(stdout.includes('secret'));
});
