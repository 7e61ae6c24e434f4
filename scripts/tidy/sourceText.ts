/**
 * Splits a source file into code, comments, strings and regular expressions, so that the checks of
 * scripts/tidy/ look only at what they mean. Called by those checks; judges nothing itself.
 * Knows as much of the language as this project's formatted code needs, no more.
 */

export interface SourceFile {
  /** From the checkout's top, with `/`. */
  readonly path: string;
  readonly text: string;
}

export interface Problem {
  readonly path: string;
  /** From 1. */
  readonly line: number;
  readonly message: string;
}

type PartKind = 'code' | 'comment' | 'string' | 'regex';

interface Part {
  readonly kind: PartKind;
  readonly start: number;
  readonly end: number;
}

const COMMENT = /\/\/[^\n]*|\/\*[\s\S]*?\*\//y;
const QUOTED = /'(?:[^'\\\n]|\\[\s\S])*'|"(?:[^"\\\n]|\\[\s\S])*"/y;
const REGEX = /\/(?![*/])(?:[^\\/[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/y;
const TEMPLATE_PIECE = /[`}](?:[^`\\$]|\\[\s\S]|\$(?!\{))*(?:`|\$\{)/y;
/** What stands before a slash that begins a regular expression and does not divide. */
const BEFORE_REGEX =
  /(?:^|[(,=:[!&|?{};+\-*%<>~^]|\b(?:return|typeof|case|in|of|delete|void|throw|new|else|do|await|yield))\s*$/;

/** The text with comments, string contents and regular expressions blanked; positions stay the same. */
export const codeOf = (text: string): string => keepOnly(text, 'code');

/** The text with only its comments left; positions stay the same. */
export const commentsOf = (text: string): string => keepOnly(text, 'comment');

/** The line, from 1, of a position in the text. */
export const lineAt = (text: string, position: number): number =>
  text.slice(0, position).split('\n').length;

/** One problem for each match of the pattern (which has the flag g) in a text of the file. */
export function problemsForMatches(search: {
  readonly file: SourceFile;
  readonly within: string;
  readonly pattern: RegExp;
  readonly message: (found: string) => string;
}): Problem[] {
  return [...search.within.matchAll(search.pattern)].map((match) => ({
    path: search.file.path,
    line: lineAt(search.file.text, match.index),
    message: search.message(match[0].trim()),
  }));
}

function keepOnly(text: string, wanted: 'code' | 'comment'): string {
  return partsOf(text)
    .map((part) => {
      const piece = text.slice(part.start, part.end);
      if (part.kind === wanted) return piece;
      return part.kind === 'string' && wanted === 'code' ? blankInside(piece) : blank(piece);
    })
    .join('');
}

const blank = (piece: string): string => piece.replace(/[^\n]/g, ' ');

/** Keeps the quotation marks, so that an import still shows where its path begins. */
function blankInside(piece: string): string {
  const first = /^['"`]/.test(piece) ? piece.charAt(0) : ' ';
  const last = /['"`]$/.test(piece) ? piece.charAt(piece.length - 1) : ' ';
  return first + blank(piece.slice(1, -1)) + last;
}

function partsOf(text: string): Part[] {
  const parts: Part[] = [];
  /** One number for each open template `${`: the braces open inside it. */
  const templates: number[] = [];
  let codeStart = 0;
  let position = 0;
  const add = (kind: PartKind, end: number): void => {
    if (position > codeStart) parts.push({ kind: 'code', start: codeStart, end: position });
    parts.push({ kind, start: position, end });
    position = codeStart = end;
  };
  while (position < text.length) {
    const special = specialPartAt(text, position, templates);
    if (special !== undefined) add(special.kind, special.end);
    else {
      countBraces(text.charAt(position), templates);
      position += 1;
    }
  }
  if (position > codeStart) parts.push({ kind: 'code', start: codeStart, end: position });
  return parts;
}

function specialPartAt(
  text: string,
  position: number,
  templates: number[],
): { kind: PartKind; end: number } | undefined {
  const character = text.charAt(position);
  if (character === "'" || character === '"') return matched(QUOTED, 'string', text, position);
  if (character === '/') {
    const comment = matched(COMMENT, 'comment', text, position);
    if (comment !== undefined) return comment;
    const before = text.slice(Math.max(0, position - 40), position);
    return BEFORE_REGEX.test(before) ? matched(REGEX, 'regex', text, position) : undefined;
  }
  const endsExpression = character === '}' && templates.at(-1) === 0;
  if (character !== '`' && !endsExpression) return undefined;
  if (endsExpression) templates.pop();
  const piece = matched(TEMPLATE_PIECE, 'string', text, position);
  if (piece !== undefined && text.charAt(piece.end - 1) === '{') templates.push(0);
  return piece;
}

function matched(
  pattern: RegExp,
  kind: PartKind,
  text: string,
  position: number,
): { kind: PartKind; end: number } | undefined {
  pattern.lastIndex = position;
  const match = pattern.exec(text);
  return match === null ? undefined : { kind, end: position + match[0].length };
}

function countBraces(character: string, templates: number[]): void {
  const open = templates.pop();
  if (open === undefined) return;
  if (character === '{') templates.push(open + 1);
  else if (character === '}') templates.push(open - 1);
  else templates.push(open);
}
