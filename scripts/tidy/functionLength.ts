/**
 * Finds function bodies by their braces and checks how many lines they have.
 * Called by scripts/tidy.ts. Tests are free: a scenario may be long.
 */
import { isSource } from './imports.js';
import { codeOf, lineAt } from './sourceText.js';
import type { Problem, SourceFile } from './sourceText.js';

export const FUNCTION_LINES_MAX = 70;

/**
 * Functions allowed to be longer, `path#name` -> lines. The numbers may only shrink; an entry that is no
 * longer needed is reported.
 */
export const LONG_FUNCTIONS: Readonly<Record<string, number>> = {};

export interface FunctionBody {
  /** `anonymous` where the braces follow no name. */
  readonly name: string;
  readonly line: number;
  /** From the line of the opening brace to that of the closing one. */
  readonly lines: number;
}

const NOT_A_FUNCTION = new Set(
  'if for while switch catch with case return typeof await in of new do else'.split(' '),
);

export function checkFunctionLengths(
  files: readonly SourceFile[],
  allowed: Readonly<Record<string, number>> = LONG_FUNCTIONS,
): Problem[] {
  const unused = new Set(Object.keys(allowed));
  const problems = files
    .filter((file) => isSource(file.path) && !file.path.startsWith('tests/'))
    .flatMap((file) =>
      functionsOf(file.text)
        .filter((body) => body.lines > FUNCTION_LINES_MAX)
        .flatMap((body) => {
          const key = `${file.path}#${body.name}`;
          unused.delete(key);
          const max = allowed[key] ?? FUNCTION_LINES_MAX;
          if (body.lines <= max) return [];
          const message = `${body.name} has ${body.lines} lines, at most ${max}`;
          return [{ path: file.path, line: body.line, message }];
        }),
    );
  const leftOver = [...unused].map((key) => ({
    path: 'scripts/tidy/functionLength.ts',
    line: 1,
    message: `${key} is no longer too long: take it off the list`,
  }));
  return [...problems, ...leftOver];
}

/** Every function, method and arrow function with braces, in the order of their closing braces. */
export function functionsOf(text: string): FunctionBody[] {
  const code = codeOf(text);
  const openings: { bracket: string; position: number }[] = [];
  /** Position of a closing bracket -> position of its opening one. */
  const matches = new Map<number, number>();
  const bodies: FunctionBody[] = [];
  for (const { 0: bracket, index } of code.matchAll(/[(){}[\]]/g)) {
    if ('({['.includes(bracket)) {
      openings.push({ bracket, position: index });
      continue;
    }
    const opening = openings.pop();
    if (opening === undefined) continue;
    matches.set(index, opening.position);
    if (bracket !== '}') continue;
    const name = functionName({ code, brace: opening.position, matches });
    if (name === undefined) continue;
    const line = lineAt(text, opening.position);
    bodies.push({ name, line, lines: lineAt(text, index) - line + 1 });
  }
  return bodies;
}

interface Place {
  readonly code: string;
  readonly brace: number;
  readonly matches: ReadonlyMap<number, number>;
}

/** The name of the function whose body opens at the brace; undefined if it is some other brace. */
function functionName(place: Place): string | undefined {
  const before = place.code.slice(0, place.brace).trimEnd();
  if (before.endsWith('=>')) return arrowName(place, before.length - 2);
  const parameters = parametersBefore(place, before.length - 1);
  if (parameters === undefined) return undefined;
  const head = withoutTypeParameters(place.code.slice(0, parameters).trimEnd());
  const name = /[\w$#]+$/.exec(head)?.[0];
  if (name === undefined || NOT_A_FUNCTION.has(name)) return undefined;
  return name === 'function' ? 'anonymous' : name;
}

/** Looks for `name = (…) =>` or `name: (…) =>` on the lines of the arrow function's own head. */
function arrowName(place: Place, arrow: number): string {
  const parameters = parametersBefore(place, place.code.slice(0, arrow).trimEnd().length - 1);
  const head = place.code.slice(0, parameters ?? arrow).trimEnd();
  return (
    /([\w$]+)(?:\s*:[^=;{}]*)?\s*[=:]\s*(?:async\s*)?(?:<[^<>()]*>)?$/.exec(head)?.[1] ??
    'anonymous'
  );
}

/** Where the parameter list opens, going back from the end of a head over a return type. */
function parametersBefore(place: Place, end: number): number | undefined {
  const { code, matches } = place;
  if (code.charAt(end) === ')') return matches.get(end);
  let position = end;
  while (position >= 0) {
    const character = code.charAt(position);
    if (character === ':') {
      const close = code.slice(0, position).trimEnd().length - 1;
      if (code.charAt(close) === ')') return matches.get(close);
      return undefined;
    }
    if (';{(='.includes(character)) return undefined;
    if (character === '}' && !/^\s*(?:$|[>|&[,])/.test(code.slice(position + 1, end + 1))) {
      return undefined;
    }
    position = (matches.get(position) ?? position) - 1;
  }
  return undefined;
}

/** `name<A, B extends C<D>>` -> `name`. */
function withoutTypeParameters(head: string): string {
  if (!head.endsWith('>') || head.endsWith('=>')) return head;
  let depth = 0;
  for (let position = head.length - 1; position >= 0; position -= 1) {
    if (head.charAt(position) === '>') depth += 1;
    if (head.charAt(position) === '<') depth -= 1;
    if (depth === 0) return head.slice(0, position).trimEnd();
  }
  return head;
}
