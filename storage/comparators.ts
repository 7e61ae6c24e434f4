/**
 * How values compare, and the ten comparators of conditions as tests of a record. Called by search.ts and
 * searchPlan.ts. The order is that of protocol/orderedKey.ts; a change here without one there (or the
 * other way round) makes indexes answer differently from scans.
 */
import { isDeepStrictEqual } from 'node:util';

import type { RecordObject } from '../protocol/operations.js';
import type { NormalisedCondition, NormalisedConditionItem } from '../protocol/operationSchemas.js';

/** Values that have an order; others (missing, null, NaN, binary, arrays, objects) have no kind. */
export type Kind = 'boolean' | 'number' | 'date' | 'string';

const RANKS: Readonly<Record<Kind, number>> = { boolean: 1, number: 2, date: 3, string: 4 };
const NO_KIND_RANK = 0;

/** Undefined for a value without an order. A bigint is a number. */
export const kindOf = (value: unknown): Kind | undefined => {
  switch (typeof value) {
    case 'boolean':
      return 'boolean';
    case 'number':
      return Number.isNaN(value) ? undefined : 'number';
    case 'bigint':
      return 'number';
    case 'string':
      return 'string';
    default:
      return value instanceof Date && !Number.isNaN(value.getTime()) ? 'date' : undefined;
  }
};

/**
 * Negative, 0 or positive. Values without an order are equal to each other and before all others;
 * then false, true, numbers, dates, strings by code point, which is the order of their UTF-8 bytes.
 */
export const compareValues = (left: unknown, right: unknown): number => {
  const kind = kindOf(left);
  const byKind = rankOf(kind) - rankOf(kindOf(right));
  if (byKind !== 0 || kind === undefined) return byKind;
  return kind === 'string'
    ? compareText(left as string, right as string)
    : compareNumbers(left as number, right as number);
};

/**
 * Strict: `5` is not `"5"`, but it is `5n`. Null is a missing value. What has no order is compared
 * by content.
 */
export const valuesEqual = (left: unknown, right: unknown): boolean => {
  if (left === right) return true;
  const kind = kindOf(left);
  if (kind !== kindOf(right)) return false;
  if (kind !== undefined) return compareValues(left, right) === 0;
  if (isBytes(left) && isBytes(right)) return Buffer.compare(left, right) === 0;
  return isDeepStrictEqual(left ?? null, right ?? null);
};

/** An attribute of a record; undefined also for what only a prototype has. */
export const attributeOf = (record: RecordObject, attribute: string): unknown =>
  Object.hasOwn(record, attribute) ? record[attribute] : undefined;

export type RecordTest = (record: RecordObject) => boolean;

/** The test that all, or any, of the conditions hold; without conditions every record passes. */
export const recordTest = (
  conditions: readonly NormalisedConditionItem[],
  operator: 'and' | 'or',
): RecordTest => {
  const tests = conditions.map((item) =>
    'conditions' in item ? recordTest(item.conditions, item.operator) : conditionTest(item),
  );
  const [first] = tests;
  if (first === undefined) return () => true;
  if (tests.length === 1) return first;
  return operator === 'and'
    ? (record) => tests.every((test) => test(record))
    : (record) => tests.some((test) => test(record));
};

const conditionTest = (condition: NormalisedCondition): RecordTest => {
  const { attribute } = condition;
  const test = valueTest(condition);
  return (record) => test(attributeOf(record, attribute));
};

/**
 * The range comparators hold only among values of one kind: `age > 5` is not true of a text, though
 * texts sort after numbers, and `age < 5` is not true of a missing age.
 */
const valueTest = ({ comparator, value }: NormalisedCondition): ((own: unknown) => boolean) => {
  switch (comparator) {
    case 'equals':
      return (own) => valuesEqual(own, value);
    case 'not_equal':
      return (own) => !valuesEqual(own, value);
    case 'contains':
      return textTest(value, (own, text) => own.includes(text));
    case 'starts_with':
      return textTest(value, (own, text) => own.startsWith(text));
    case 'ends_with':
      return textTest(value, (own, text) => own.endsWith(text));
    case 'greater_than':
      return orderTest(value, (order) => order > 0);
    case 'greater_than_equal':
      return orderTest(value, (order) => order >= 0);
    case 'less_than':
      return orderTest(value, (order) => order < 0);
    case 'less_than_equal':
      return orderTest(value, (order) => order <= 0);
    case 'between': {
      const [low, high] = Array.isArray(value) ? (value as unknown[]) : [];
      const above = orderTest(low, (order) => order >= 0);
      const below = orderTest(high, (order) => order <= 0);
      return (own) => above(own) && below(own);
    }
  }
};

const textTest =
  (text: unknown, holds: (own: string, text: string) => boolean) =>
  (own: unknown): boolean =>
    typeof own === 'string' && typeof text === 'string' && holds(own, text);

const orderTest = (bound: unknown, holds: (order: number) => boolean) => {
  const kind = kindOf(bound);
  return (own: unknown): boolean =>
    kind !== undefined && kindOf(own) === kind && holds(compareValues(own, bound));
};

const rankOf = (kind: Kind | undefined): number =>
  kind === undefined ? NO_KIND_RANK : RANKS[kind];

/** Also booleans, dates and bigints, which `<` takes as the numbers they stand for. */
const compareNumbers = (left: number, right: number): number => {
  if (left < right) return -1;
  return left > right ? 1 : 0;
};

const compareText = (left: string, right: string): number => {
  if (left === right) return 0;
  const length = Math.min(left.length, right.length);
  for (let at = 0; at < length; at += 1) {
    const leftUnit = left.charCodeAt(at);
    const rightUnit = right.charCodeAt(at);
    if (leftUnit !== rightUnit) return byCodePoint(leftUnit) - byCodePoint(rightUnit);
  }
  return left.length - right.length;
};

/** Surrogates stand for code points above U+FFFF: they belong after U+E000..U+FFFF. */
const byCodePoint = (unit: number): number => {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
};

const isBytes = (value: unknown): value is Uint8Array => value instanceof Uint8Array;
