/**
 * Finds what somebody who mistyped a name probably meant. Called for unknown keys, variables, arguments,
 * directives and types.
 */

/** The candidate with the fewest edits between it and `text`, upper and lower case alike; undefined if there are none. */
export function nearest(text: string, candidates: Iterable<string>): string | undefined {
  let best: { candidate: string; edits: number } | undefined;
  for (const candidate of candidates) {
    const edits = editDistance(text.toLowerCase(), candidate.toLowerCase());
    if (best === undefined || edits < best.edits) best = { candidate, edits };
  }
  return best?.candidate;
}

/** True when a typist could have meant `candidate`: at most one edit in three characters. */
export const isNear = (text: string, candidate: string): boolean =>
  editDistance(text.toLowerCase(), candidate.toLowerCase()) <= Math.ceil(text.length / 3);

/** Insertions, deletions, replacements and exchanges of neighbours that turn one text into the other. */
export function editDistance(from: string, to: string): number {
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let row = 1; row <= from.length; row++) {
    const current = [row];
    for (let column = 1; column <= to.length; column++) {
      const cost = from[row - 1] === to[column - 1] ? 0 : 1;
      const exchanged = from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1];
      current[column] = Math.min(
        at(previous, column) + 1,
        at(current, column - 1) + 1,
        at(previous, column - 1) + cost,
        row > 1 && column > 1 && exchanged ? at(beforePrevious, column - 2) + 1 : Infinity,
      );
    }
    beforePrevious = previous;
    previous = current;
  }
  return at(previous, to.length);
}

const at = (row: readonly number[], column: number): number => row[column] ?? Infinity;
