/**
 * Checks of what users store: depth, attribute names and ids, in plain loops because there may be very
 * many of them. Called by validate.ts only; changes nothing and keeps nothing.
 */
import { isWellFormed } from '../bytes.js';
import { limits } from '../limits.js';
import { isObject, type Fields } from './aliases.js';
import { nameProblem } from './names.js';
import { isKeyTooLong } from './recordKey.js';

/** Problems reported of one list; the rest would say the same again. */
const PROBLEMS_MAX = 10;

/** What makes a value unsafe to walk or to store; undefined for a good one. Cycles are too deep. */
export const nestingProblem = (value: unknown): string | undefined => walk(value, 1);

/** Whether each record is an object with good attribute names, in words. */
export const recordProblems = (records: unknown): string[] => {
  const known = new Set<string>();
  return listProblems(records, 'records', (record) =>
    isRecord(record) ? attributeNamesProblem(record, known) : 'must be of type object',
  );
};

/**
 * Whether each id can be looked up. One with a slash cannot be stored by an operation, but may be
 * looked for: the answer is that there is none.
 */
export const idProblems = (ids: unknown, label: string): string[] =>
  listProblems(ids, label, (id) => {
    if (typeof id === 'number') return Number.isFinite(id) ? undefined : 'must be a finite number';
    if (typeof id !== 'string') return 'must be a string or a number';
    if (id === '') return 'is not allowed to be empty';
    if (!isWellFormed(id)) return 'must not contain half a surrogate pair';
    return isKeyTooLong(id) ? `must not exceed ${limits.keyBytesMax} bytes` : undefined;
  });

const listProblems = (
  list: unknown,
  label: string,
  problemOf: (item: unknown) => string | undefined,
): string[] => {
  const problems: string[] = [];
  if (!Array.isArray(list)) return problems;
  for (const [index, item] of list.entries()) {
    const problem = problemOf(item);
    if (problem !== undefined) problems.push(`'${label}[${index}]' ${problem}`);
    if (problems.length === PROBLEMS_MAX) break;
  }
  return problems;
};

/** `known` holds names that passed: records of one operation mostly have the same ones. */
const attributeNamesProblem = (record: Fields, known: Set<string>): string | undefined => {
  for (const name of Object.keys(record)) {
    if (known.has(name)) continue;
    const problem = nameProblem(name);
    if (problem !== undefined) return `attribute ${problem}`;
    known.add(name);
  }
  return undefined;
};

const walk = (value: unknown, depth: number): string | undefined => {
  if (typeof value !== 'object' || value === null || isLeaf(value)) return undefined;
  if (depth > limits.nestingMax) return `must not be nested deeper than ${limits.nestingMax}`;
  if (Array.isArray(value)) return walkAll(value, depth);
  if (Object.hasOwn(value, '__proto__')) return "names cannot be '__proto__'";
  return walkAll(Object.values(value), depth);
};

const walkAll = (values: readonly unknown[], depth: number): string | undefined => {
  for (const value of values) {
    const problem = walk(value, depth + 1);
    if (problem !== undefined) return problem;
  }
  return undefined;
};

const isRecord = (value: unknown): value is Fields => isObject(value) && !isLeaf(value);

const isLeaf = (value: object): boolean => value instanceof Date || ArrayBuffer.isView(value);
