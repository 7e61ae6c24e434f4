/** What a search answers, in which order, and how little it reads for it. */
import test from 'ava';

import { SkeinError } from '../../protocol/errors.js';
import type { Comparator, RecordObject } from '../../protocol/operations.js';
import type { NormalisedConditionItem } from '../../protocol/operationSchemas.js';
import {
  conditionsQuery,
  search,
  searchAll,
  valueQuery,
  type SearchQuery,
  type SearchSource,
} from '../../storage/search.js';
import { memorySearchSource } from '../support/memorySearchSource.js';

const is = (attribute: string, value: unknown, comparator: Comparator = 'equals') => ({
  attribute,
  comparator,
  value,
});
const group = (operator: 'and' | 'or', ...conditions: NormalisedConditionItem[]) => ({
  operator,
  conditions,
});
const ids = async (source: SearchSource, query: SearchQuery): Promise<unknown[]> =>
  (await searchAll(source, query)).map(({ id }) => id);

const numbered = (count: number, more: (id: number) => object = () => ({})): RecordObject[] =>
  Array.from({ length: count }, (_, id) => ({ id, ...more(id) }));

const values = [
  { id: 'missing' },
  { id: 'null', v: null },
  { id: 'true', v: true },
  { id: 'five', v: 5 },
  { id: 'seven', v: 7n },
  { id: 'NaN', v: NaN },
  { id: 'date', v: new Date(5) },
  { id: 'textFive', v: '5' },
  { id: 'rex', v: 'Rex the dog' },
  { id: 'list', v: [1, { a: 2 }] },
  { id: 'bytes', v: Buffer.from('ab') },
];
const all = values.map(({ id }) => id);

const comparisons: [comparator: Comparator, value: unknown, found: string[]][] = [
  ['equals', 5, ['five']],
  ['equals', '5', ['textFive']],
  ['equals', 7, ['seven']],
  ['equals', null, ['missing', 'null']],
  ['equals', new Date(5), ['date']],
  ['equals', [1, { a: 2 }], ['list']],
  ['equals', new Uint8Array([97, 98]), ['bytes']],
  ['not_equal', null, all.filter((id) => id !== 'missing' && id !== 'null')],
  ['not_equal', 5, all.filter((id) => id !== 'five')],
  ['contains', 'the', ['rex']],
  ['starts_with', 'Rex', ['rex']],
  ['starts_with', '', ['textFive', 'rex']],
  ['ends_with', 'dog', ['rex']],
  ['greater_than', 5, ['seven']],
  ['greater_than_equal', 5, ['five', 'seven']],
  ['less_than', 7, ['five']],
  ['less_than_equal', 7, ['five', 'seven']],
  ['less_than', null, []],
  ['greater_than_equal', false, ['true']],
  ['greater_than', 'Rex', ['rex']],
  ['less_than', 'Rex', ['textFive']],
  ['less_than_equal', new Date(5), ['date']],
  ['between', [5, 6], ['five']],
  ['between', [5, '9'], []],
  ['between', [7, 5], []],
];

test('comparators compare strictly and within one kind, with an index or without', async (t) => {
  for (const [comparator, value, found] of comparisons) {
    for (const indexed of [[], ['v']]) {
      const source = memorySearchSource({ records: values, indexed });
      const answer = await ids(source, { conditions: [is('v', value, comparator)] });
      t.deepEqual(answer.sort(), found.toSorted(), `${comparator} ${String(value)} ${indexed[0]}`);
    }
  }
});

test('the keys 5 and "5" are different', async (t) => {
  const source = memorySearchSource({ records: [{ id: 5 }, { id: '5' }] });
  t.deepEqual(await ids(source, { conditions: [is('id', 5)] }), [5]);
  t.deepEqual(await ids(source, { conditions: [is('id', '5')] }), ['5']);
  t.is(source.read.scanned, 0);
});

test('what cannot be a key is not looked for', async (t) => {
  const source = memorySearchSource({ records: numbered(3) });
  for (const value of ['', true, 'x'.repeat(1024), 1n << 60n]) {
    t.deepEqual(await ids(source, { conditions: [is('id', value)] }), []);
  }
  t.deepEqual(await ids(source, { conditions: [is('id', 2n)] }), [2]);
  t.deepEqual({ ...source.read }, { scanned: 0, indexed: 0, fetched: 2 });
});

test('a search by value reads stars as open ends', (t) => {
  const conditions = (value: unknown) => valueQuery({ attribute: 'a', value }).conditions;
  t.deepEqual(conditions('*'), []);
  t.deepEqual(conditions('**'), []);
  t.deepEqual(conditions('x*'), [is('a', 'x', 'starts_with')]);
  t.deepEqual(conditions('*x'), [is('a', 'x', 'ends_with')]);
  t.deepEqual(conditions('*x*'), [is('a', 'x', 'contains')]);
  t.deepEqual(conditions('x*y'), [is('a', 'x*y')]);
  t.deepEqual(conditions(5), [is('a', 5)]);
});

test('a search by value can be sorted, cut down and limited', async (t) => {
  const source = memorySearchSource({ records: numbered(5, (id) => ({ age: id % 3 })) });
  const get_attributes = ['age', 'name', 'toString'];
  const query = valueQuery({
    attribute: 'age',
    value: '*',
    desc: true,
    offset: 1,
    limit: 2,
    get_attributes,
  });
  t.deepEqual(await searchAll(source, query), [
    { age: 1, name: null, toString: null },
    { age: 1, name: null, toString: null },
  ]);
});

test('a search by conditions becomes a query', async (t) => {
  const source = memorySearchSource({ records: numbered(4) });
  const query = conditionsQuery({
    conditions: [is('id', 1), is('id', 3)],
    operator: 'or',
    sort: { attribute: 'id', descending: true },
    get_attributes: ['*'],
    limit: 5,
  });
  t.deepEqual(await searchAll(source, query), [{ id: 3 }, { id: 1 }]);
});

test('without conditions every record is found, in key order', async (t) => {
  const source = memorySearchSource({ records: [{ id: 'a' }, { id: 2 }, { id: -1 }] });
  t.deepEqual(await ids(source, { conditions: [] }), [-1, 2, 'a']);
  t.deepEqual(await ids(source, { conditions: [], operator: 'or' }), [-1, 2, 'a']);
});

test('groups nest', async (t) => {
  const records = numbered(20, (id) => ({ even: id % 2 === 0, third: id % 3 }));
  const source = memorySearchSource({ records, indexed: ['third'] });
  const conditions = [is('even', true), group('or', is('third', 1), is('id', 6))];
  t.deepEqual((await ids(source, { conditions })).sort(), [10, 16, 4, 6]);
  t.is(source.read.scanned, 0);
});

test('the condition that leaves least is read from its index', async (t) => {
  const records = numbered(100, (id) => ({ a: id, b: id % 10, c: `n${id % 50}` }));
  const source = memorySearchSource({ records, indexed: ['a', 'b', 'c'] });
  const conditions = [
    is('a', 10, 'greater_than'),
    is('c', 'n1', 'starts_with'),
    is('b', 3),
    is('a', [0, 90], 'between'),
  ];
  t.deepEqual(await ids(source, { conditions }), [13, 63]);
  t.deepEqual({ ...source.read }, { scanned: 0, indexed: 10, fetched: 10 });
});

test('two bounds of one attribute are one range', async (t) => {
  const source = memorySearchSource({ records: numbered(99, (a) => ({ a })), indexed: ['a'] });
  const conditions = [
    is('a', 10, 'greater_than'),
    is('a', 10, 'greater_than_equal'),
    is('a', 14, 'less_than'),
    is('a', 80, 'less_than'),
  ];
  t.deepEqual(await ids(source, { conditions }), [11, 12, 13]);
  t.true(source.read.indexed <= 5);
  const nothing = [is('a', 10, 'greater_than'), is('a', 10, 'less_than_equal')];
  t.deepEqual(await ids(source, { conditions: nothing }), []);
  t.true(source.read.indexed <= 5);
});

test('any of several indexed conditions is a union without repetition', async (t) => {
  const records = numbered(30, (id) => ({ a: id % 5, b: id % 3 }));
  const source = memorySearchSource({ records, indexed: ['a', 'b'] });
  const conditions = [is('a', 1), group('and', is('b', 0), is('c', null)), is('id', 1)];
  const answer = await ids(source, { conditions, operator: 'or' });
  const expected = records.filter(({ id, a, b }) => a === 1 || b === 0 || id === 1);
  t.deepEqual(answer.sort(), expected.map(({ id }) => id).sort());
  t.is(source.read.scanned, 0);
  t.is(source.read.fetched, expected.length);
});

test('any of several conditions scans when one has no index', async (t) => {
  const source = memorySearchSource({
    records: numbered(9, (id) => ({ a: id, b: -id })),
    indexed: ['a'],
  });
  const conditions = [is('a', 1), is('b', -3)];
  t.deepEqual(await ids(source, { conditions, operator: 'or' }), [1, 3]);
  t.deepEqual({ ...source.read }, { scanned: 9, indexed: 0, fetched: 0 });
});

test('a limit stops the scan', async (t) => {
  const source = memorySearchSource({ records: numbered(100) });
  t.deepEqual(await ids(source, { conditions: [], offset: 4, limit: 3 }), [4, 5, 6]);
  t.is(source.read.scanned, 9);
  t.deepEqual(await ids(source, { conditions: [], limit: 0 }), []);
  t.is(source.read.scanned, 9);
});

test('a limit stops the index and reads no more records than it needs', async (t) => {
  const records = numbered(100, () => ({ a: 1 }));
  const source = memorySearchSource({ records, indexed: ['a'], batchRows: 50 });
  t.deepEqual(await ids(source, { conditions: [is('a', 1)], limit: 2 }), [0, 1]);
  t.deepEqual({ ...source.read }, { scanned: 0, indexed: 50, fetched: 2 });
});

test('a caller that stops early stops the reading', async (t) => {
  const source = memorySearchSource({ records: numbered(100) });
  for await (const { id } of search(source, { conditions: [] })) if (id === 4) break;
  t.is(source.read.scanned, 6);
});

test('an offset beyond the end answers nothing', async (t) => {
  const source = memorySearchSource({ records: numbered(5) });
  t.deepEqual(await ids(source, { conditions: [], offset: 5, limit: 1 }), []);
});

test('a scan ends where no key can match', async (t) => {
  const source = memorySearchSource({ records: [...numbered(100), { id: 'x' }, { id: 'y' }] });
  t.deepEqual(await ids(source, { conditions: [is('id', 2, 'less_than')] }), [0, 1]);
  t.is(source.read.scanned, 3);
  const sort = { attribute: 'id', descending: true };
  t.deepEqual(await ids(source, { conditions: [is('id', 'x', 'greater_than')], sort }), ['y']);
  t.is(source.read.scanned, 6);
});

test('a scan includes a key that equals an inclusive bound', async (t) => {
  const source = memorySearchSource({ records: numbered(9) });
  t.deepEqual(await ids(source, { conditions: [is('id', 2, 'less_than_equal')] }), [0, 1, 2]);
  const query = { conditions: [is('id', [6, 7], 'between')], sort: { attribute: 'id' } };
  t.deepEqual(await ids(source, query), [6, 7]);
  const sort = { attribute: 'id', descending: true };
  t.deepEqual(await ids(source, { ...query, sort }), [7, 6]);
});

test('the end of a prefix steps over the surrogates and past the last character', async (t) => {
  for (const prefix of ['a\ud7ff', 'a\u{10ffff}', '\u{10ffff}']) {
    const records = [
      { id: 1, a: `${prefix}x` },
      { id: 2, a: prefix },
      { id: 3, a: 'a\ue000' },
    ];
    const source = memorySearchSource({ records, indexed: ['a'] });
    t.deepEqual(await ids(source, { conditions: [is('a', prefix, 'starts_with')] }), [2, 1]);
  }
});

test('half a surrogate pair is looked for by scanning', async (t) => {
  const source = memorySearchSource({ records: [{ id: 1, a: '😀' }], indexed: ['a'] });
  t.deepEqual(await ids(source, { conditions: [is('a', '\ud83d', 'starts_with')] }), [1]);
  t.deepEqual(await ids(source, { conditions: [is('a', '\ud83d')] }), []);
});

test('a union counts as its slowest part', async (t) => {
  const records = numbered(40, (id) => ({ a: id, b: id }));
  const source = memorySearchSource({ records, indexed: ['a', 'b'] });
  const any = group('or', is('id', 1), is('a', 2, 'greater_than'));
  t.deepEqual(await ids(source, { conditions: [any, is('b', [1, 3], 'between')] }), [1, 3]);
  t.is(source.read.fetched, 3);
});

test('a sort by key reads the table in that order', async (t) => {
  const source = memorySearchSource({ records: numbered(50) });
  const sort = { attribute: 'id', descending: true };
  t.deepEqual(await ids(source, { conditions: [], sort, limit: 2 }), [49, 48]);
  t.is(source.read.scanned, 3);
});

test('a sort by the attribute that is searched reads its index in that order', async (t) => {
  const records = numbered(50, (id) => ({ a: id % 10 }));
  const source = memorySearchSource({ records, indexed: ['a'] });
  const conditions = [is('a', 4, 'less_than_equal')];
  const sort = { attribute: 'a', descending: true };
  t.deepEqual(await ids(source, { conditions, sort, limit: 2 }), [44, 34]);
  t.deepEqual({ ...source.read }, { scanned: 0, indexed: 3, fetched: 2 });
});

test('the greatest of a table are read down the index, those without a value last', async (t) => {
  const records = numbered(50, (id) => (id < 47 ? { a: id % 40 } : { a: [id] }));
  const source = memorySearchSource({ records, indexed: ['a'] });
  const sort = { attribute: 'a', descending: true };
  t.deepEqual(await ids(source, { conditions: [], sort, limit: 3 }), [39, 38, 37]);
  t.is(source.read.scanned, 0);
  const last = await ids(source, { conditions: [], sort, offset: 46, limit: 9 });
  t.deepEqual(last, [0, 49, 48, 47]);
});

test('a sort may have a second attribute, which an index on the first does not know', async (t) => {
  const records = numbered(12, (id) => ({ a: id % 2, b: (id * 7) % 4 }));
  const sort = { attribute: 'a', next: { attribute: 'b', descending: true } };
  const conditions = [is('a', 0, 'greater_than_equal')];
  for (const indexed of [[], ['a']]) {
    const source = memorySearchSource({ records, indexed });
    const answer = await searchAll(source, { conditions, sort });
    t.deepEqual(
      answer.map(({ id, a, b }) => [a, b, id]),
      [
        [0, 2, 2],
        [0, 2, 6],
        [0, 2, 10],
        [0, 0, 0],
        [0, 0, 4],
        [0, 0, 8],
        [1, 3, 1],
        [1, 3, 5],
        [1, 3, 9],
        [1, 1, 3],
        [1, 1, 7],
        [1, 1, 11],
      ],
    );
  }
});

test('values that an index has cut are sorted by the whole value', async (t) => {
  const long = 'x'.repeat(300);
  const big = 2n ** 80n;
  const texts = [`${long}c`, `${long}a`, 'x'.repeat(256), `${long}b`];
  const numbers = [big + 3n, big, big + 1n, 2 ** 79];
  for (const [given, condition, order] of [
    [texts, is('v', 'x', 'starts_with'), [2, 1, 3, 0]],
    [numbers, is('v', 1, 'greater_than'), [3, 1, 2, 0]],
  ] as const) {
    const records = given.map((v, id) => ({ id, v }));
    const source = memorySearchSource({ records, indexed: ['v'], batchRows: 1 });
    const sort = { attribute: 'v' };
    t.deepEqual(await ids(source, { conditions: [condition], sort }), order);
    t.is(source.read.scanned, 0);
    const descending = { attribute: 'v', descending: true };
    const backwards = await ids(source, { conditions: [condition], sort: descending });
    t.deepEqual(backwards, order.toReversed());
  }
});

test('the first of many, unsorted by any index, are the right ones', async (t) => {
  const records = numbered(2000, (id) => ({ a: (id * 7919) % 2003 }));
  const source = memorySearchSource({ records, batchRows: 100 });
  const query = { conditions: [], sort: { attribute: 'a' }, offset: 1, limit: 3 };
  const expected = records.toSorted((left, right) => Number(left['a']) - Number(right['a']));
  t.deepEqual(await searchAll(source, query), expected.slice(1, 4));
});

test('an attribute that a schema does not define is named at once', async (t) => {
  const definition = { schemaDefined: true, attributes: [{ name: 'known' }] };
  const source = memorySearchSource({ records: [], definition });
  const message = (query: SearchQuery) => {
    const error = t.throws(() => search(source, query), { instanceOf: SkeinError });
    t.is(error?.code, 'INVALID_REQUEST');
    t.is(error?.statusCode, 404);
    return error?.message;
  };
  t.is(message({ conditions: [is('a', 1), is('a', 2)] }), "unknown attribute 'a'");
  t.is(
    message({
      conditions: [is('a', 1), group('or', is('known', 1), is('b', 1))],
      sort: { attribute: 'id', next: { attribute: 'c' } },
    }),
    "unknown attribute 'a, b and c'",
  );
  await t.throwsAsync(searchAll(source, { conditions: [is('a', 1)] }), { instanceOf: SkeinError });
  const conditions = [is('id', 1), is('known', 1), is('__createdtime__', 1)];
  t.deepEqual(await searchAll(source, { conditions, attributes: ['other'] }), []);
});

test('a dynamic table may be asked for any attribute', async (t) => {
  const source = memorySearchSource({ records: numbered(2) });
  t.deepEqual(await ids(source, { conditions: [is('colour', 'red')] }), []);
});
