/**
 * Whatever is indexed, a search answers what a plain filter and sort over all records answers; and values
 * compare as their bytes in an index do. The reference below shares no code with storage/.
 */
import test from 'ava';
import * as fc from 'fast-check';

import type { Comparator, RecordObject, Sort } from '../../protocol/operations.js';
import type { NormalisedConditionItem } from '../../protocol/operationSchemas.js';
import { encodeIndexValue } from '../../protocol/orderedKey.js';
import { compareValues } from '../../storage/comparators.js';
import { searchAll, type SearchQuery } from '../../storage/search.js';
import { memorySearchSource } from '../support/memorySearchSource.js';

const RUNS = 400;
const ATTRIBUTES = ['id', 'a', 'b', 'c'];
const long = 'é'.repeat(128);

/** Few values of many kinds, so that conditions meet records. */
const numbers = [-Infinity, -1, 0, 1, 2, 2 ** 53, 2n ** 53n + 1n, 2n ** 70n + 1n, 2n ** 70n + 2n];
const dates = [new Date(-1), new Date(0), new Date(8.64e15)];
const texts = ['', '1', 'a', 'ab', 'abc', 'b', '\uffff', '😀', '\u{10ffff}', long, `${long}a`];
const ordered = fc.constantFrom<unknown>(false, true, ...numbers, ...dates, ...texts, `${long}b`);
const anyValue = fc.oneof(
  { weight: 8, arbitrary: ordered },
  { weight: 2, arbitrary: fc.constantFrom<unknown>(undefined, null, NaN, [1], { a: 1 }) },
);
const key = fc.oneof(fc.integer({ min: -2, max: 9 }), fc.constantFrom('1', 'a', 'ab', '😀'));

const records = fc.uniqueArray(
  fc.record({ id: key, a: anyValue, b: anyValue, c: fc.constantFrom(1, 2) }),
  { selector: ({ id }) => id, maxLength: 25 },
);

const condition = fc
  .record({
    attribute: fc.constantFrom(...ATTRIBUTES),
    comparator: fc.constantFrom<Comparator>(
      ...(['equals', 'not_equal', 'contains', 'starts_with', 'ends_with', 'between'] as const),
      ...(['greater_than', 'greater_than_equal', 'less_than', 'less_than_equal'] as const),
    ),
    value: fc.oneof(anyValue, key),
    other: ordered,
  })
  .map(({ attribute, comparator, value, other }) => ({
    attribute,
    comparator,
    value: comparator === 'between' ? [value, other] : value,
  }));
const operator = fc.constantFrom('and' as const, 'or' as const);
const { item } = fc.letrec<{ item: NormalisedConditionItem }>((tie) => ({
  item: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    { weight: 4, arbitrary: condition },
    {
      weight: 1,
      arbitrary: fc.record({
        operator,
        conditions: fc.array(tie('item'), { minLength: 1, maxLength: 3 }),
      }),
    },
  ),
}));
const conditions = fc.array(item, { maxLength: 4 });
const indexed = fc.subarray(ATTRIBUTES);
const sort: fc.Arbitrary<Sort> = fc
  .array(fc.record({ attribute: fc.constantFrom(...ATTRIBUTES), descending: fc.boolean() }), {
    minLength: 1,
    maxLength: 2,
  })
  .map(([first, next]) => ({ attribute: 'id', ...first, ...(next === undefined ? {} : { next }) }));

// ---- the reference

const KINDS: ((value: unknown) => boolean)[] = [
  (value) => value === false,
  (value) => value === true,
  (value) => typeof value === 'bigint' || (typeof value === 'number' && !Number.isNaN(value)),
  (value) => value instanceof Date,
  (value) => typeof value === 'string',
];
const rank = (value: unknown): number => KINDS.findIndex((isKind) => isKind(value));
const isBoolean = (value: unknown): boolean => typeof value === 'boolean';

const compare = (left: unknown, right: unknown): number => {
  const leftRank = rank(left);
  if (leftRank !== rank(right)) return leftRank - rank(right);
  if (typeof left === 'string')
    return Buffer.compare(Buffer.from(left), Buffer.from(String(right)));
  if (leftRank < 2) return 0;
  const [low, high] = [left as number, right as number];
  return Number(low > high) - Number(low < high);
};

const equal = (left: unknown, right: unknown): boolean =>
  rank(left) >= 0 || rank(right) >= 0
    ? compare(left, right) === 0
    : text(left ?? null) === text(right ?? null);

const text = (value: unknown): string => (Number.isNaN(value) ? 'NaN' : JSON.stringify(value));

const sameKind = (left: unknown, right: unknown): boolean =>
  rank(left) >= 0 && (rank(left) === rank(right) || (isBoolean(left) && isBoolean(right)));

const holds = (comparator: Comparator, own: unknown, value: unknown): boolean => {
  const texts = typeof own === 'string' && typeof value === 'string' ? [own, value] : undefined;
  const [whole = '', part = ''] = texts ?? [];
  const order = sameKind(own, value) ? compare(own, value) : NaN;
  switch (comparator) {
    case 'equals':
      return equal(own, value);
    case 'not_equal':
      return !equal(own, value);
    case 'contains':
      return texts !== undefined && whole.includes(part);
    case 'starts_with':
      return texts !== undefined && whole.startsWith(part);
    case 'ends_with':
      return texts !== undefined && whole.endsWith(part);
    case 'greater_than':
      return order > 0;
    case 'greater_than_equal':
      return order >= 0;
    case 'less_than':
      return order < 0;
    case 'less_than_equal':
      return order <= 0;
    case 'between': {
      const [low, high] = value as unknown[];
      return holds('greater_than_equal', own, low) && holds('less_than_equal', own, high);
    }
  }
};

const matches = (
  record: RecordObject,
  group: Pick<SearchQuery, 'conditions' | 'operator'>,
): boolean => {
  const results = group.conditions.map((part) =>
    'conditions' in part
      ? matches(record, part)
      : holds(part.comparator, record[part.attribute], part.value),
  );
  if (results.length === 0) return true;
  return group.operator === 'or' ? results.includes(true) : !results.includes(false);
};

const sortedBy = (list: readonly RecordObject[], order: Sort): RecordObject[] => {
  const first = order.descending === true ? -1 : 1;
  const second = order.next?.descending === true ? -1 : 1;
  const next = order.next?.attribute ?? 'id';
  return list.toSorted(
    (left, right) =>
      first * compare(left[order.attribute], right[order.attribute]) ||
      second * compare(left[next], right[next]) * (order.next === undefined ? 0 : 1) ||
      first * compare(left['id'], right['id']),
  );
};

// ---- the properties

test('with any indexes, a search finds what a filter finds', async (t) => {
  await fc.assert(
    fc.asyncProperty(records, conditions, operator, indexed, async (list, parts, op, names) => {
      const source = memorySearchSource({ records: list, indexed: names });
      const query = { conditions: parts, operator: op };
      const byKey = { attribute: 'id' };
      const expected = sortedBy(
        list.filter((record) => matches(record, query)),
        byKey,
      );
      const found = await searchAll(source, query);
      t.deepEqual(sortedBy(found, byKey), expected);
    }),
    { numRuns: RUNS },
  );
});

test('with any indexes, a sorted window is that part of the sorted whole', async (t) => {
  const window = fc.record({
    offset: fc.option(fc.nat(6), { nil: undefined }),
    limit: fc.option(fc.nat(6), { nil: undefined }),
  });
  await fc.assert(
    fc.asyncProperty(
      ...([records, conditions, operator, indexed, sort, window] as const),
      async (list, parts, op, names, order, { offset, limit }) => {
        const source = memorySearchSource({ records: list, indexed: names });
        const query = { conditions: parts, operator: op, sort: order, offset, limit };
        const whole = sortedBy(
          list.filter((record) => matches(record, query)),
          order,
        );
        const start = offset ?? 0;
        const expected = whole.slice(start, limit === undefined ? undefined : start + limit);
        t.deepEqual(await searchAll(source, query), expected);
      },
    ),
    { numRuns: RUNS },
  );
});

test('a window without a sort holds as many different matches as it can', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      ...([records, conditions, operator, indexed, fc.nat(6), fc.nat(6)] as const),
      async (list, parts, op, names, offset, limit) => {
        const source = memorySearchSource({ records: list, indexed: names });
        const query = { conditions: parts, operator: op, offset, limit };
        const count = list.filter((record) => matches(record, query)).length;
        const found = await searchAll(source, query);
        t.is(new Set(found).size, Math.max(0, Math.min(limit, count - offset)));
        t.true(found.every((record) => matches(record, query)));
      },
    ),
    { numRuns: RUNS },
  );
});

test('values compare as the bytes of whole values in an index do', (t) => {
  const value = fc.oneof(
    fc.double({ noNaN: true }),
    fc.string({ unit: 'binary', maxLength: 20 }),
    fc.date({ noInvalidDate: true }),
    fc.boolean(),
    fc.constant(null),
  );
  fc.assert(
    fc.property(value, value, (left, right) => {
      const [low, high] = [encodeIndexValue(left), encodeIndexValue(right)];
      const bytes = low === undefined || high === undefined ? NaN : Buffer.compare(low, high);
      t.is(Math.sign(compareValues(left, right)), bytes);
    }),
    { numRuns: 2000 },
  );
});
