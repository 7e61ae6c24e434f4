/**
 * Rows of the system database as a member may have written them: values that bring a `toString` of their own, which is no
 * function, must not end whoever reads the table.
 */
import test from 'ava';
import { readCertificateRow } from '../../actors/certificateRows.js';
import { readPeerOperation } from '../../actors/operations/joining.js';
import { asText } from '../../protocol/errors.js';
import { readRows } from '../../protocol/nodeRows.js';
import { readRights } from '../../protocol/permissions.js';

const HOSTILE = { toString: 1, valueOf: 2 };

test('SE-22 an object is never asked to turn itself into text', (t) => {
  t.is(asText(HOSTILE), 'an object');
  t.deepEqual(['x', 1, null, undefined, true].map(asText), ['x', '1', 'null', 'undefined', 'true']);
});

test('SE-22 a row of a node with such a name or rule is damaged, and the others are read', (t) => {
  const { rows, damaged } = readRows(
    [
      { name: HOSTILE, url: null },
      { name: 'server-two', replicates: { sendsTo: [{ target: HOSTILE, database: 'data' }] } },
      { name: 'server-three', url: 'wss://server-three:9933' },
    ],
    new Map(),
  );
  t.deepEqual([...rows.keys()].map(String), ['server-three']);
  t.deepEqual([...damaged.keys()], ['an object', 'server-two']);
});

test('SE-22 such certificates, roles and operations of peers are refused as others are', (t) => {
  t.regex(String(readCertificateRow({ name: HOSTILE, certificate: 1 })), /'an object'/);
  const attribute = { attribute_name: HOSTILE, read: true };
  const permission = { data: { tables: { dog: { attribute_permissions: [attribute] } } } };
  t.notThrows(() => readRights(permission));
  t.throws(() => readPeerOperation({ operation: HOSTILE }), {
    message: "Operation 'an object' not found",
  });
  const replicates = { receivesFrom: [{ source: HOSTILE }] };
  const add = { operation: 'add_node_back', hostname: 'b', url: null, generations: {}, replicates };
  t.throws(() => readPeerOperation(add), { message: /'replicates'/, code: 'INVALID_REQUEST' });
});
