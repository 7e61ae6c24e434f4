/**
 * Words and habits the sources keep away from, and the comment every file opens with.
 * Called by scripts/tidy.ts. What the linter already refuses is repeated here only where a comment could
 * switch the linter off.
 */
import { isSource } from './imports.js';
import { codeOf, commentsOf, problemsForMatches } from './sourceText.js';
import type { Problem, SourceFile } from './sourceText.js';

interface BannedPattern {
  readonly pattern: RegExp;
  readonly message: (found: string) => string;
}

const VAGUE_NAME = /manager|helper|utils/i;

const IN_CODE: readonly BannedPattern[] = [
  {
    pattern: /[\w$]*(?:Manager|Helper|Utils)(?![a-z])[\w$]*|\b(?:manager|helper|utils)s?\b/g,
    message: (found) => `${found} says nothing about what it does: name the thing`,
  },
  {
    pattern: /:\s*any\b|\bas\s+any\b|<any\b|\bany\[\]|\bany>/g,
    message: (found) => `\`${found}\` switches the types off`,
  },
  {
    pattern: /[\w$)\]]!(?!=)/g,
    message: (found) => `\`${found}\` asserts what the types do not know`,
  },
];

const UNFINISHED: BannedPattern = {
  pattern: /\b(?:TODO|FIXME|XXX)\b/g,
  message: (found) => `${found}: finish it or leave it out`,
};

const COMPILER_OFF: BannedPattern = {
  pattern: /@ts-(?:ignore|nocheck)\b/g,
  message: (found) => `${found} switches the compiler off`,
};

/** Tests may say that a line must not compile; elsewhere nothing may rely on that. */
const EXPECTED_ERROR: BannedPattern = {
  pattern: /@ts-expect-error\b/g,
  message: (found) => `${found} belongs in tests only`,
};

export function checkBannedWords(files: readonly SourceFile[]): Problem[] {
  return files
    .filter((file) => isSource(file.path))
    .flatMap((file) => {
      const code = codeOf(file.text);
      const comments = commentsOf(file.text);
      return [
        ...vagueFileName(file),
        ...IN_CODE.flatMap((banned) => matchesOf(file, code, banned)),
        ...[UNFINISHED, COMPILER_OFF].flatMap((banned) => matchesOf(file, comments, banned)),
        ...matchesOf(file, code, UNFINISHED),
        ...(file.path.startsWith('tests/') ? [] : matchesOf(file, comments, EXPECTED_ERROR)),
      ];
    });
}

/** Every file says first what it is for. */
export function checkOpeningComments(files: readonly SourceFile[]): Problem[] {
  return files
    .filter((file) => isSource(file.path) && !opensWithComment(file.text))
    .map((file) => ({
      path: file.path,
      line: 1,
      message: 'opens without a comment that says what the file is for',
    }));
}

/** At least a short sentence; a line of dashes or a name is none. */
function opensWithComment(text: string): boolean {
  const comment = /^(?:#!.*\n)?(?:\/\*\*?([\s\S]*?)\*\/|((?:\/\/.*\n)+))/.exec(text);
  const words = (comment?.[1] ?? comment?.[2] ?? '').match(/[A-Za-z]{2,}/g) ?? [];
  return words.length >= 5;
}

function vagueFileName(file: SourceFile): Problem[] {
  const name = file.path.split('/').at(-1) ?? file.path;
  if (!VAGUE_NAME.test(name)) return [];
  return [{ path: file.path, line: 1, message: 'a file name says what is in the file' }];
}

const matchesOf = (file: SourceFile, within: string, banned: BannedPattern): Problem[] =>
  problemsForMatches({ file, within, ...banned });
