/**
 * The check every operation passes before anything else looks at it: nesting and forbidden names.
 * Called by requestBody.ts. Recursion ends at `limits.nestingMax`, so no body can exhaust the stack.
 */
import { invalidRequest } from '../protocol/errors.js';
import { limits } from '../protocol/limits.js';

/** Longest field path shown in a message, in characters. */
const PATH_SHOWN_MAX = 200;

/**
 * Returns nothing when `body` is harmless. Throws INVALID_REQUEST naming the field when it is nested
 * deeper than `limits.nestingMax` arrays and objects (the body itself is the first), or when an object
 * at any depth has a field of its own called `__proto__`, which would change prototypes further in.
 */
export const guardBody = (body: unknown): void => {
  const problem = findProblem(body, 1);
  if (problem !== undefined) {
    throw invalidRequest(`${fieldName(problem.path)} ${problem.what}`);
  }
};

/** The refusal used wherever a body turns out too deep. */
export const TOO_DEEP = `is nested deeper than ${limits.nestingMax} levels`;

interface Problem {
  readonly what: string;
  /** Innermost first: filled while the recursion unwinds, so that good bodies cost no paths. */
  readonly path: (string | number)[];
}

const findProblem = (value: unknown, depth: number): Problem | undefined => {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) {
    return undefined;
  }
  if (depth > limits.nestingMax) {
    return { what: TOO_DEEP, path: [] };
  }
  return Array.isArray(value) ? inArray(value, depth) : inObject(value, depth);
};

const inArray = (items: readonly unknown[], depth: number): Problem | undefined => {
  for (let index = 0; index < items.length; index++) {
    const problem = findProblem(items[index], depth + 1);
    if (problem !== undefined) {
      problem.path.push(index);
      return problem;
    }
  }
  return undefined;
};

const inObject = (value: object, depth: number): Problem | undefined => {
  if (Object.hasOwn(value, '__proto__')) {
    return { what: 'is not allowed as a field name', path: ['__proto__'] };
  }
  for (const [key, field] of Object.entries(value)) {
    const problem = findProblem(field, depth + 1);
    if (problem !== undefined) {
      problem.path.push(key);
      return problem;
    }
  }
  return undefined;
};

const fieldName = (innermostFirst: readonly (string | number)[]): string => {
  const text = innermostFirst.toReversed().map(pathStep).join('').replace(/^\./, '');
  const shown = text.length > PATH_SHOWN_MAX ? `${text.slice(0, PATH_SHOWN_MAX)}...` : text;
  return `'${shown}'`;
};

const pathStep = (step: string | number): string =>
  typeof step === 'number' ? `[${step}]` : `.${step}`;
