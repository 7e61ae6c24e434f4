/**
 * Changes to a text by position, so that every other character of it stays. Called by routesLayout.ts; knows nothing of
 * YAML.
 */

/** The characters from `start` up to `end`, which does not belong, become `text`. */
export interface Edit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/** The edited text. Edits must not overlap; of two at one place the earlier in the list comes first. */
export function applyEdits(text: string, edits: readonly Edit[]): string {
  const ordered = edits.toSorted((one, other) => one.start - other.start || one.end - other.end);
  let position = 0;
  let edited = '';
  for (const edit of ordered) {
    edited += text.slice(position, edit.start) + edit.text;
    position = edit.end;
  }
  return edited + text.slice(position);
}

/** How lines of a text end, by its first one. */
export const newlineOf = (text: string): '\n' | '\r\n' =>
  /^[^\n]*\r\n/.test(text) ? '\r\n' : '\n';

/** Where the line of an offset begins. */
export const lineStart = (text: string, offset: number): number =>
  text.lastIndexOf('\n', offset - 1) + 1;

/** Characters from the beginning of its line to an offset; a byte order mark is none. */
export const columnOf = (text: string, offset: number): number =>
  text.slice(lineStart(text, offset), offset).replace('\ufeff', '').length;

/** Where the line ends on which a part ends, before its newline. The newline may belong to the part. */
export function lineEnd(text: string, partEnd: number): number {
  const newline = text[partEnd - 1] === '\n' ? partEnd - 1 : text.indexOf('\n', partEnd);
  if (newline < 0) return text.length;
  return text[newline - 1] === '\r' ? newline - 1 : newline;
}

/** Where the next line begins. */
export function nextLine(text: string, offset: number): number {
  const newline = text.indexOf('\n', offset);
  return newline < 0 ? text.length : newline + 1;
}
