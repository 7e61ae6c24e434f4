/** Names that are paths elsewhere: refused, or kept as names. No file appears outside the node's directory. */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { startNode } from '../../index.js';
import { SkeinError } from '../../protocol/errors.js';
import { SILENT } from '../support/embedded.js';

const NAMES = [
  '../x',
  '/etc/x',
  'a/b',
  '..\\x',
  '.',
  '..',
  'a\0b',
  'a\nb',
  '',
  ' ',
  'CON',
  'x'.repeat(300),
  '`x`',
  '__proto__',
  'constructor',
  '%2e%2e%2fx',
];

test('SE-27: names of databases, tables, attributes, users and roles lead nowhere', async (t) => {
  const root = await mkdtemp(join(tmpdir(), 'skein-names-'));
  t.teardown(() => rm(root, { recursive: true, force: true }));
  const node = await startNode(
    {
      rootPath: join(root, 'own', 'node'),
      replication: { hostname: 'a', url: 'memory://a' },
      authentication: { adminUsername: 'admin', adminPassword: 'pw' },
    },
    { logger: SILENT },
  );
  t.teardown(() => node.close());
  await node.send({ operation: 'create_table', table: 'dog', primary_key: 'id' });
  let refused = 0;
  for (const name of NAMES)
    for (const operation of [
      { operation: 'create_database', database: name },
      { operation: 'create_table', database: name, table: 'dog', primary_key: 'id' },
      { operation: 'create_table', table: name, primary_key: 'id' },
      { operation: 'create_attribute', table: 'dog', attribute: name },
      { operation: 'insert', table: 'dog', records: [{ id: 1, [`${name}`]: 1 }] },
      { operation: 'add_user', username: name, password: 'pw', role: 'super_user' },
      { operation: 'add_role', role: name, permission: {} },
      { operation: 'drop_database', database: name },
    ])
      try {
        await node.execute(operation);
      } catch (error) {
        refused++;
        t.true(error instanceof SkeinError, `${operation.operation} ${JSON.stringify(name)}`);
        if (error instanceof SkeinError) t.true(error.statusCode < 500, error.message);
      }
  t.true(refused > NAMES.length * 4);
  await t.throwsAsync(node.send({ operation: 'drop_database', database: 'system' }), {
    code: 'FORBIDDEN',
  });
  t.deepEqual(await readdir(root), ['own']);
  t.deepEqual(await readdir(join(root, 'own')), ['node']);
  const inside = await readdir(join(root, 'own', 'node'));
  t.deepEqual(inside.sort(), ['database']);
  t.is(Object.hasOwn(Object.prototype, 'x'), false);
});
