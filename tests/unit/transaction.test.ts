/** Two changes of one row in one transaction come to one (CX-01). */
import test from 'ava';
import { decode, encode, encodeRecord } from '../../protocol/codec.js';
import type { RowChange } from '../../protocol/row.js';
import { foldChanges } from '../../protocol/transaction.js';

const put = (values: object): RowChange => ({ type: 'put', body: encodeRecord(values) });
const patch = (values: object): RowChange => ({
  type: 'patch',
  attributes: Object.entries(values).map(([name, value]) => ({ name, value: encode(value) })),
});
const erase: RowChange = { type: 'delete' };

const shown = (change: RowChange): unknown => {
  if (change.type === 'delete') return 'delete';
  if (change.type === 'put') return ['put', decode(change.body)];
  return ['patch', Object.fromEntries(change.attributes.map((a) => [a.name, decode(a.value)]))];
};

for (const [name, first, second, expected] of [
  ['a put replaces a put', put({ x: 1 }), put({ y: 2 }), ['put', { y: 2 }]],
  ['CX-01: a put replaces a patch', patch({ x: 1 }), put({ y: 2 }), ['put', { y: 2 }]],
  ['CX-01: a put replaces a delete', erase, put({ x: 1 }), ['put', { x: 1 }]],
  ['a delete replaces a put', put({ x: 1 }), erase, 'delete'],
  ['a delete replaces a patch', patch({ x: 1 }), erase, 'delete'],
  [
    'a patch goes into a put',
    put({ x: 1, y: 1 }),
    patch({ y: 2, z: 3 }),
    ['put', { x: 1, y: 2, z: 3 }],
  ],
  ['a patch goes into a patch', patch({ x: 1, y: 1 }), patch({ y: 2 }), ['patch', { x: 1, y: 2 }]],
  ['a patch after a delete becomes a put', erase, patch({ x: 1 }), ['put', { x: 1 }]],
  ['two deletes are one', erase, erase, 'delete'],
] as const)
  test(name, (t) => t.deepEqual(shown(foldChanges(first, second)), expected));
