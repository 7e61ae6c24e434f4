/**
 * Chooses how the candidates of a search are found: by key, by an index, by several, or by a scan of the
 * table. Called by search.ts, which checks every candidate against all conditions again, so a path may
 * offer too many records but never too few. Pure; reads nothing.
 */
import { isWellFormed } from '../protocol/bytes.js';
import type { Key } from '../protocol/operations.js';
import type { NormalisedCondition, NormalisedConditionItem } from '../protocol/operationSchemas.js';
import { isKeyTooLong } from '../protocol/schemas/recordKey.js';
import { compareValues, kindOf, type Kind } from './comparators.js';
import type { SearchSource, ValueRange } from './search.js';

interface Bound {
  readonly value: unknown;
  readonly inclusive: boolean;
}

/** Values of one kind between two bounds; a bound that is absent is the end of the kind. */
export interface AttributeRange {
  readonly attribute: string;
  readonly kind: Kind;
  readonly lower?: Bound | undefined;
  readonly upper?: Bound | undefined;
  /** Made by starts_with alone. */
  readonly isPrefix?: boolean;
}

/** Ways to the candidates that give their keys first. */
export type KeyPath =
  | { readonly kind: 'keys'; readonly keys: readonly Key[]; readonly rank: number }
  | { readonly kind: 'index'; readonly range: AttributeRange; readonly rank: number }
  | { readonly kind: 'union'; readonly paths: readonly KeyPath[]; readonly rank: number };

export type AccessPath =
  | KeyPath
  /** The whole table, in key order; nothing outside `keyRange` matches. */
  | { readonly kind: 'scan'; readonly keyRange?: AttributeRange | undefined };

/** Lower is better: how few records such a condition is expected to leave. */
const RANK = { keys: 0, equals: 1, bounded: 2, prefix: 3, oneSided: 4 } as const;
/** The primary key, and the attribute to sort by, win against their equals. */
const PREFERRED = 0.5;

const PATH_TO_NOTHING: KeyPath = { kind: 'keys', keys: [], rank: RANK.keys };

type Source = Pick<SearchSource, 'definition' | 'isIndexed'>;

/** The path for these conditions; `sortedBy` is preferred where it costs nothing. */
export const planAccess = (
  source: Source,
  query: {
    readonly conditions: readonly NormalisedConditionItem[];
    readonly operator: 'and' | 'or';
    readonly sortedBy?: string | undefined;
  },
): AccessPath => {
  const planner = { source, sortedBy: query.sortedBy };
  const path = pathOfGroup(planner, query.conditions, query.operator);
  if (path !== undefined) return path;
  const { primaryKey } = source.definition;
  const keyRange =
    query.operator === 'and'
      ? rangesOf(query.conditions).find(({ attribute }) => attribute === primaryKey)
      : undefined;
  return { kind: 'scan', keyRange };
};

/** The range as an index is asked for it. The ends of the kind keep other kinds out. */
export const toValueRange = (range: AttributeRange, reverse: boolean): ValueRange => {
  const { lower, upper } = range;
  const [lowest, highest] = ENDS[range.kind];
  return {
    ...(lower?.inclusive === false ? { gt: lower.value } : { gte: lower?.value ?? lowest }),
    ...upperBound(upper, highest),
    ...(reverse ? { reverse: true } : {}),
  };
};

/** Whether values in the order of the range (or reversed) have left it for good at this one. */
export const isPast = (range: AttributeRange, value: unknown, reverse: boolean): boolean => {
  const [lowest, highest] = ENDS[range.kind];
  const bound = (reverse ? range.lower : range.upper) ?? {
    value: reverse ? lowest : highest,
    inclusive: true,
  };
  if (bound.value === undefined) return false;
  const order = reverse ? compareValues(bound.value, value) : compareValues(value, bound.value);
  return bound.inclusive ? order > 0 : order >= 0;
};

const LAST_MOMENT_MS = 8.64e15; // ECMAScript's last date, and its negative the first

/** Strings are the last kind: they have no highest value and need none. */
const ENDS: Readonly<Record<Kind, readonly [lowest: unknown, highest: unknown]>> = {
  boolean: [false, true],
  number: [-Infinity, Infinity],
  date: [new Date(-LAST_MOMENT_MS), new Date(LAST_MOMENT_MS)],
  string: ['', undefined],
};

const upperBound = (upper: Bound | undefined, highest: unknown): ValueRange => {
  if (upper !== undefined) return upper.inclusive ? { lte: upper.value } : { lt: upper.value };
  return highest === undefined ? {} : { lte: highest };
};

interface Planner {
  readonly source: Source;
  readonly sortedBy: string | undefined;
}

/** Undefined where only a scan finds everything. */
const pathOfGroup = (
  planner: Planner,
  conditions: readonly NormalisedConditionItem[],
  operator: 'and' | 'or',
): KeyPath | undefined =>
  operator === 'and' || conditions.length < 2
    ? pathOfAll(planner, conditions)
    : pathOfAny(planner, conditions);

/** The best path of any part: what all conditions leave is among what one leaves. */
const pathOfAll = (
  planner: Planner,
  conditions: readonly NormalisedConditionItem[],
): KeyPath | undefined => {
  const groups = conditions.flatMap((item) =>
    'conditions' in item ? [pathOfGroup(planner, item.conditions, item.operator)] : [],
  );
  const ranges = rangesOf(conditions).map((range) => pathOfRange(planner, range));
  let best: KeyPath | undefined;
  for (const path of [...ranges, ...groups]) {
    if (path !== undefined && (best === undefined || path.rank < best.rank)) best = path;
  }
  return best;
};

/** All paths together, if every part has one; as slow as the slowest. */
const pathOfAny = (
  planner: Planner,
  conditions: readonly NormalisedConditionItem[],
): KeyPath | undefined => {
  const paths: KeyPath[] = [];
  for (const item of conditions) {
    const path = pathOfAll(planner, [item]);
    if (path === undefined) return undefined;
    paths.push(path);
  }
  return { kind: 'union', paths, rank: Math.max(...paths.map(({ rank }) => rank)) };
};

const pathOfRange = (planner: Planner, range: AttributeRange): KeyPath | undefined => {
  const { source, sortedBy } = planner;
  if (isEmpty(range)) return PATH_TO_NOTHING;
  const isPrimaryKey = range.attribute === source.definition.primaryKey;
  if (isPrimaryKey && isOneValue(range)) {
    const key = possibleKey(range.lower?.value);
    return key === undefined ? PATH_TO_NOTHING : { kind: 'keys', keys: [key], rank: RANK.keys };
  }
  if (!source.isIndexed(range.attribute)) return undefined;
  const isPreferred = isPrimaryKey || range.attribute === sortedBy;
  return { kind: 'index', range, rank: rankOf(range) - (isPreferred ? PREFERRED : 0) };
};

const rankOf = (range: AttributeRange): number => {
  if (isOneValue(range)) return RANK.equals;
  if (range.isPrefix === true) return RANK.prefix;
  return range.lower !== undefined && range.upper !== undefined ? RANK.bounded : RANK.oneSided;
};

/** What the conditions themselves (not nested groups) leave of each attribute. */
const rangesOf = (conditions: readonly NormalisedConditionItem[]): AttributeRange[] => {
  const ranges = new Map<string, AttributeRange>();
  for (const item of conditions) {
    const range = 'conditions' in item ? undefined : rangeOf(item);
    if (range === undefined) continue;
    const known = ranges.get(range.attribute);
    ranges.set(range.attribute, known === undefined ? range : overlapOf(known, range));
  }
  return [...ranges.values()];
};

/** Undefined where an order does not help: not_equal, contains, null, objects. */
const rangeOf = ({
  attribute,
  comparator,
  value,
}: NormalisedCondition): AttributeRange | undefined => {
  if (comparator === 'between') return Array.isArray(value) ? between(attribute, value) : undefined;
  const kind = orderedKind(value);
  if (kind === undefined) return undefined;
  switch (comparator) {
    case 'equals': {
      const bound = { value, inclusive: true };
      return { attribute, kind, lower: bound, upper: bound };
    }
    case 'greater_than':
    case 'greater_than_equal':
      return { attribute, kind, lower: { value, inclusive: comparator === 'greater_than_equal' } };
    case 'less_than':
    case 'less_than_equal':
      return { attribute, kind, upper: { value, inclusive: comparator === 'less_than_equal' } };
    case 'starts_with':
      return typeof value === 'string' ? startingWith(attribute, value) : undefined;
    default:
      return undefined;
  }
};

const between = (attribute: string, [low, high]: unknown[]): AttributeRange | undefined => {
  const kind = orderedKind(low);
  if (kind === undefined || kind !== orderedKind(high)) return undefined;
  const lower = { value: low, inclusive: true };
  return { attribute, kind, lower, upper: { value: high, inclusive: true } };
};

/** Half a surrogate pair has no place in an index: such a text is looked for by scanning. */
const orderedKind = (value: unknown): Kind | undefined =>
  typeof value === 'string' && !isWellFormed(value) ? undefined : kindOf(value);

const startingWith = (attribute: string, prefix: string): AttributeRange => {
  const end = endOfPrefix(prefix);
  return {
    attribute,
    kind: 'string',
    lower: { value: prefix, inclusive: true },
    upper: end === undefined ? undefined : { value: end, inclusive: false },
    isPrefix: true,
  };
};

const LAST_CODE_POINT = 0x10ffff;
const FIRST_SURROGATE = 0xd800;
const AFTER_SURROGATES = 0xe000;

/** The first text after all that begin with `prefix`: its last character, one further. */
const endOfPrefix = (prefix: string): string | undefined => {
  const characters = Array.from(prefix);
  for (let last = characters.pop(); last !== undefined; last = characters.pop()) {
    const code = last.codePointAt(0) ?? LAST_CODE_POINT;
    if (code === LAST_CODE_POINT) continue;
    const next = code + 1 === FIRST_SURROGATE ? AFTER_SURROGATES : code + 1;
    return characters.join('') + String.fromCodePoint(next);
  }
  return undefined;
};

/** Two kinds have nothing in common: the first range is as good as any, for all is checked again. */
const overlapOf = (left: AttributeRange, right: AttributeRange): AttributeRange => {
  if (left.kind !== right.kind) return left;
  return {
    attribute: left.attribute,
    kind: left.kind,
    lower: tighter(left.lower, right.lower, 1),
    upper: tighter(left.upper, right.upper, -1),
    isPrefix: left.isPrefix === true && right.isPrefix === true,
  };
};

/** `sign` is 1 for lower bounds, where the greater one is tighter, and -1 for upper ones. */
const tighter = (left: Bound | undefined, right: Bound | undefined, sign: number) => {
  if (left === undefined) return right;
  if (right === undefined) return left;
  const order = compareValues(left.value, right.value) * sign;
  if (order === 0) return left.inclusive ? right : left;
  return order > 0 ? left : right;
};

const isOneValue = ({ lower, upper }: AttributeRange): boolean =>
  lower !== undefined && upper !== undefined && compareValues(lower.value, upper.value) === 0;

const isEmpty = ({ lower, upper }: AttributeRange): boolean => {
  if (lower === undefined || upper === undefined) return false;
  const order = compareValues(lower.value, upper.value);
  return order > 0 || (order === 0 && !(lower.inclusive && upper.inclusive));
};

/** The key that equals this value; undefined if no stored key can. */
const possibleKey = (value: unknown): Key | undefined => {
  if (typeof value === 'number') return value;
  if (typeof value === 'string') return value === '' || isKeyTooLong(value) ? undefined : value;
  if (typeof value !== 'bigint') return undefined;
  const number = Number(value);
  return Number.isFinite(number) && BigInt(number) === value ? number : undefined;
};
