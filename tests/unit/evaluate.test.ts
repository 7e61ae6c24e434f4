/** What a local transaction's writes come to as changes: keys, times, attributes. Outcomes: tests/conformance/storage.ts. */
import test from 'ava';
import { TICKS_PER_MILLISECOND } from '../../protocol/clock.js';
import { decode, encodeRecord } from '../../protocol/codec.js';
import { DEADLINE } from '../../protocol/expiry.js';
import { tableGeneration, version } from '../../protocol/ids.js';
import { decodeKey } from '../../protocol/orderedKey.js';
import type { Row, RowChange } from '../../protocol/row.js';
import { mapEntries } from '../../protocol/skipScan.js';
import type { TableDefinition } from '../../protocol/tableDefinition.js';
import type { Table } from '../../storage/catalog.js';
import { evaluate, type LocalWrite } from '../../storage/evaluate.js';
import { definition, NOW_MS, origin } from '../support/stores.js';

const AT = version(NOW_MS * TICKS_PER_MILLISECOND + 1);
const TIME = NOW_MS + 1 / TICKS_PER_MILLISECOND;

const tableOf = (given: TableDefinition): Table => ({
  number: 1,
  name: given.name,
  generation: tableGeneration(1),
  definition: given,
  attributes: new Map(
    given.attributes.map(({ name }, place) => [
      name,
      { number: place + 1, name, index: 'none', dropped: false },
    ]),
  ),
  wasLocal: false,
});

const stored = (record: object): Row => ({
  kind: 'whole',
  stamp: { version: version(1), origin: origin('a') },
  body: encodeRecord(record),
});

const shown = (change: RowChange): unknown => {
  if (change.type === 'delete') return 'delete';
  if (change.type === 'put') return ['put', decode(change.body)];
  return ['patch', Object.fromEntries(change.attributes.map((a) => [a.name, decode(a.value)]))];
};

/** Of each put, the first attribute in its bytes. */
const firstNames = (given: TableDefinition, writes: readonly LocalWrite[]): unknown[] => {
  const table = tableOf(given);
  const none = {
    newKey: () => 'made',
    table: () => table,
    row: () => stored({ id: 'k' }),
    isDamaged: () => false,
  };
  const { tables } = evaluate({ writes, version: AT, ...none });
  return tables.flatMap(({ changes }) =>
    changes.map(({ change }) => change.type === 'put' && mapEntries(change.body)[0]?.name),
  );
};

const evaluated = (
  given: TableDefinition,
  writes: readonly LocalWrite[],
  rows: Readonly<Record<string, object>> = {},
) => {
  const table = tableOf(given);
  let made = 0;
  const { tables, results } = evaluate({
    writes,
    version: AT,
    newKey: () => `made-${++made}`,
    table: () => table,
    row: (_, key) => {
      const record = rows[String(decodeKey(key))];
      return record && stored(record);
    },
    isDamaged: () => false,
  });
  const changes = tables.flatMap((one) => one.changes);
  return {
    changes: changes.map(({ key, change }) => [decodeKey(key), shown(change)]),
    results,
  };
};

const DYNAMIC = definition('t');
const PLAIN = definition('t', [{ name: 'x' }]);
const EXPIRING = definition('t', [{ name: 'x' }], { expirationSeconds: 3 });
const AT_END = Math.ceil(TIME + 3_000);
const TIMED = definition('t', [
  { name: 'made', assignedCreatedTime: true },
  { name: 'changed', assignedUpdatedTime: true },
]);

const one = (type: 'insert' | 'put' | 'update' | 'upsert', record: object): LocalWrite => ({
  table: 't',
  type,
  records: [record as Record<string, unknown>],
});
const erase: LocalWrite = { table: 't', type: 'delete', keys: ['k'] };
const OLD = { id: 'k', x: 1, __createdtime__: 5, __updatedtime__: 6 };
const FRACTIONAL = { id: 'k', x: 1, __createdtime__: 5.5, __updatedtime__: 6.5 };
const TIMES = { __createdtime__: TIME, __updatedtime__: TIME };

const cases: readonly [
  name: string,
  table: TableDefinition,
  writes: readonly LocalWrite[],
  rows: Readonly<Record<string, object>>,
  expected: unknown[],
][] = [
  [
    'an insert is a put with its key',
    PLAIN,
    [one('insert', { id: 'k', x: 1 })],
    {},
    [['put', { id: 'k', x: 1 }]],
  ],
  [
    'a put keeps only what it says',
    PLAIN,
    [one('put', { id: 'k' })],
    { k: OLD },
    [['put', { id: 'k' }]],
  ],
  [
    'an update is a patch that names its key',
    PLAIN,
    [one('update', { id: 'k', x: 2 })],
    { k: OLD },
    [['patch', { id: 'k', x: 2 }]],
  ],
  [
    'an upsert is a patch, also of a row that is not there',
    PLAIN,
    [one('upsert', { id: 'k', x: 2 })],
    {},
    [['patch', { id: 'k', x: 2 }]],
  ],
  [
    'a patch leaves out what is undefined and keeps null',
    PLAIN,
    [one('upsert', { id: 'k', x: undefined, y: null })],
    {},
    [['patch', { id: 'k', y: null }]],
  ],
  [
    'a dynamic table has both times',
    DYNAMIC,
    [one('insert', { id: 'k' })],
    {},
    [['put', { id: 'k', ...TIMES }]],
  ],
  [
    'an upsert of a new row sets both times',
    DYNAMIC,
    [one('upsert', { id: 'k' })],
    {},
    [['patch', { id: 'k', ...TIMES }]],
  ],
  [
    'an update sets only the time of the change',
    DYNAMIC,
    [one('update', { id: 'k' })],
    { k: OLD },
    [['patch', { id: 'k', __updatedtime__: TIME }]],
  ],
  [
    'a put keeps the time when the row was made',
    DYNAMIC,
    [one('put', { id: 'k' })],
    { k: FRACTIONAL },
    [['put', { id: 'k', __createdtime__: 5.5, __updatedtime__: TIME }]],
  ],
  [
    'declared times have the names they were given',
    TIMED,
    [one('insert', { id: 'k' })],
    {},
    [['put', { id: 'k', made: TIME, changed: TIME }]],
  ],
  [
    'writes to one row fold',
    PLAIN,
    [one('insert', { id: 'k', x: 1 }), one('update', { id: 'k', x: 2 })],
    {},
    [['put', { id: 'k', x: 2 }]],
  ],
  [
    'an update after a delete in one transaction is skipped',
    PLAIN,
    [erase, one('update', { id: 'k', x: 2 })],
    { k: OLD },
    ['delete'],
  ],
  [
    'an insert after a delete in one transaction is a put',
    PLAIN,
    [erase, one('insert', { id: 'k', x: 2 })],
    { k: OLD },
    [['put', { id: 'k', x: 2 }]],
  ],
  [
    'a put in a table whose records expire has their end first in it',
    EXPIRING,
    [one('put', { id: 'k', 1: 1 })],
    {},
    [['put', { [DEADLINE]: -AT_END, id: 'k', 1: 1 }]],
  ],
  [
    'an update of a record that lives on is a patch with its new end',
    EXPIRING,
    [one('update', { id: 'k', x: 2 })],
    { k: { [DEADLINE]: NOW_MS + 10, id: 'k', y: 1 } },
    [['patch', { [DEADLINE]: -AT_END, id: 'k', x: 2 }]],
  ],
  [
    'an upsert of a record that is not visible where records expire is a put',
    EXPIRING,
    [one('upsert', { id: 'k', x: 2 })],
    {},
    [['put', { [DEADLINE]: -AT_END, id: 'k', x: 2 }]],
  ],
  [
    'an upsert of a record that has ended is a put with the times of a new one',
    { ...DYNAMIC, expirationSeconds: 3 },
    [one('upsert', { id: 'k' })],
    { k: { [DEADLINE]: NOW_MS, ...OLD } },
    [['put', { [DEADLINE]: -AT_END, id: 'k', ...TIMES }]],
  ],
  [
    'an update of a record that has ended is skipped, and so is its delete',
    EXPIRING,
    [one('update', { id: 'k', x: 2 }), erase],
    { k: { [DEADLINE]: NOW_MS, id: 'k', x: 1 } },
    [],
  ],
  [
    'a write that says its own end is not bound to the rule of its table',
    EXPIRING,
    [{ ...one('insert', { id: 'k' }), expiresAt: 5 } as LocalWrite],
    {},
    [['put', { [DEADLINE]: 5, id: 'k' }]],
  ],
  [
    'what a record says of its end comes before what the write says',
    definition('t', [{ name: 'gone', expiresAt: true }]),
    [{ ...one('put', { id: 'k', gone: 7 }), expiresAt: 5 } as LocalWrite],
    {},
    [['put', { [DEADLINE]: 7, id: 'k', gone: 7 }]],
  ],
  [
    'a record that is put again in a transaction has lost its first end',
    definition('t', [{ name: 'gone', expiresAt: true }]),
    [one('put', { id: 'k', gone: 7 }), one('put', { id: 'k' })],
    {},
    [['put', { id: 'k' }]],
  ],
  [
    'a deadline that comes later in a transaction is first in the record all the same',
    definition('t', [{ name: 'gone', expiresAt: true }]),
    [one('put', { id: 'k' }), one('update', { id: 'k', gone: 7 })],
    {},
    [['put', { [DEADLINE]: 7, id: 'k', gone: 7 }]],
  ],
];

test('the deadline is the first attribute of a record, where it is looked for', (t) => {
  const gone = definition('t', [{ name: 'gone', expiresAt: true }]);
  for (const writes of [
    [one('put', { 1: 1, id: 'k', gone: 7 })],
    [one('put', { 1: 1, id: 'k' }), one('update', { id: 'k', gone: 7 })],
    [erase, one('upsert', { 1: 1, id: 'k', gone: 7 })],
  ])
    t.deepEqual(firstNames(gone, writes), [DEADLINE]);
});

for (const [name, table, writes, rows, expected] of cases)
  test(name, (t) => {
    const { changes } = evaluated(table, writes, rows);
    t.deepEqual(
      changes.map(([, change]) => change),
      expected,
    );
  });

test('a record without a key gets one, but for an update', (t) => {
  const { changes, results } = evaluated(PLAIN, [
    { table: 't', type: 'insert', records: [{ x: 1 }, { x: 2 }, { id: null }] },
  ]);
  t.deepEqual(results[0]?.written, ['made-1', 'made-2', 'made-3']);
  t.deepEqual(changes[1], ['made-2', ['put', { id: 'made-2', x: 2 }]]);
  t.throws(() => evaluated(PLAIN, [one('update', { x: 1 })]), {
    code: 'INVALID_REQUEST',
    message: 'a valid hash attribute must be provided with update record, check log for more info',
  });
});

test('a record is not changed by what is filled in', (t) => {
  const record = Object.freeze({ x: 1 });
  t.notThrows(() => evaluated(DYNAMIC, [one('insert', record)]));
});

test('an inherited key is no key', (t) => {
  const record = Object.create({ id: 'inherited' }) as object;
  t.deepEqual(evaluated(PLAIN, [one('insert', record)]).results[0]?.written, ['made-1']);
});

for (const [name, bad, message] of [
  ['no object', 7, "'records[0]' must be an object"],
  ['a list', [], "'records[0]' must be an object"],
  ['null', null, "'records[0]' must be an object"],
  [
    'a record with a key of another type',
    { id: {} },
    "'records[0].id' must be a string or a number",
  ],
  ['a record with an empty key', { id: '' }, "'records[0].id' is not allowed to be empty"],
  ['an infinite key', { id: Infinity }, "'records[0].id' must be a string or a number"],
] as const)
  test(`${name} is refused by its place`, (t) => {
    t.throws(() => evaluated(PLAIN, [one('put', bad as object)]), {
      code: 'INVALID_REQUEST',
      message,
    });
  });

test('a value that cannot be kept is refused by its place', (t) => {
  t.throws(() => evaluated(PLAIN, [one('upsert', { id: 'k', x: { y: () => 1 } })]), {
    code: 'INVALID_REQUEST',
    message: /^records\[0\]\.x\.y /,
  });
});

test('attributes a table does not know are told once, and refused by a sealed one', (t) => {
  const writes: LocalWrite[] = [
    {
      table: 't',
      type: 'put',
      records: [
        { id: 'k', x: 1, y: 1 },
        { id: 'p', y: 2, z: 1 },
      ],
    },
  ];
  t.deepEqual(evaluated(PLAIN, writes).results[0]?.newAttributes, ['y', 'z']);
  t.throws(() => evaluated({ ...PLAIN, sealed: true }, writes), {
    code: 'INVALID_REQUEST',
    message: "unknown attribute 'y'",
  });
});

test('a transaction that changes nothing has no changes', (t) => {
  const { changes, results } = evaluated(PLAIN, [erase]);
  t.deepEqual(changes, []);
  t.deepEqual(results[0]?.skipped, ['k']);
});

test('a row deleted and inserted in one transaction was made now', (t) => {
  const { changes } = evaluated(DYNAMIC, [erase, one('insert', { id: 'k' })], { k: FRACTIONAL });
  t.deepEqual(changes, [['k', ['put', { id: 'k', ...TIMES }]]]);
});
