/**
 * The rules of the house that no linter knows: who imports whom, what protocol/ must not touch, sizes,
 * words, dead files, dead links. Run by tests/tidy.test.ts and as `node dist/scripts/tidy.js`.
 * Every check is a function from the files to the problems; only `readCheckout` touches the disk.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { checkFunctionLengths } from './tidy/functionLength.js';
import { checkCycles, checkDeadFiles } from './tidy/graph.js';
import {
  checkFolders,
  checkImportsExist,
  checkPackagePlaces,
  checkPackagesDeclared,
} from './tidy/imports.js';
import { checkLinks, checkMentionedPages } from './tidy/links.js';
import { checkEnvironmentAccess, checkProtocolPurity } from './tidy/purity.js';
import type { Problem, SourceFile } from './tidy/sourceText.js';
import { checkBannedWords, checkOpeningComments } from './tidy/words.js';

export interface Check {
  /** A sentence that holds when the check finds nothing. */
  readonly rule: string;
  readonly run: (files: readonly SourceFile[]) => Problem[];
}

export const checks: readonly Check[] = [
  { rule: 'folders import only what the folder graph allows', run: checkFolders },
  { rule: 'each package is imported only in its place', run: checkPackagePlaces },
  { rule: 'every relative import names a file', run: checkImportsExist },
  { rule: 'package.json names every package that is imported', run: checkPackagesDeclared },
  { rule: 'protocol/ is pure', run: checkProtocolPurity },
  {
    rule: 'only the configuration and the program read the environment',
    run: checkEnvironmentAccess,
  },
  { rule: 'no file imports itself through others', run: checkCycles },
  { rule: 'every file is reached from an entry point', run: checkDeadFiles },
  { rule: 'no function outside the tests is longer than 70 lines', run: checkFunctionLengths },
  { rule: 'every file opens with a comment', run: checkOpeningComments },
  { rule: 'no banned word is used', run: checkBannedWords },
  { rule: 'links in the pages lead somewhere', run: checkLinks },
  { rule: 'pages named in comments exist', run: checkMentionedPages },
];

/** `scripts/tidy.ts:7: message`, as editors read it. */
export const formatProblem = (problem: Problem): string =>
  `${problem.path}:${problem.line}: ${problem.message}`;

/**
 * The text files of the checkout that this compiled file belongs to: the nearest folder above it with a
 * package.json. Throws if there is none.
 */
export function readCheckout(from: string = import.meta.dirname): SourceFile[] {
  const top = checkoutFolder(from);
  return filesBelow(top, '').map((path) => ({ path, text: readFileSync(join(top, path), 'utf8') }));
}

const SKIPPED_FOLDERS = new Set(['node_modules', 'dist', 'coverage', '.git', '.build', '.skein']);
const READ_FILES = /\.(?:ts|mjs|js|md|json|txt|patch)$|^LICENSE$|^run$/;

function checkoutFolder(from: string): string {
  if (existsSync(join(from, 'package.json'))) return from;
  const above = dirname(from);
  if (above === from) throw new Error('No package.json above this file: not in a checkout.');
  return checkoutFolder(above);
}

function filesBelow(top: string, folder: string): string[] {
  return readdirSync(join(top, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
    if (entry.isDirectory()) return SKIPPED_FOLDERS.has(entry.name) ? [] : filesBelow(top, path);
    return READ_FILES.test(entry.name) ? [path] : [];
  });
}

function main(): void {
  const files = readCheckout();
  const problems = checks.flatMap((check) => check.run(files));
  for (const problem of problems) console.log(formatProblem(problem));
  console.log(`${files.length} files, ${problems.length} problems`);
  process.exitCode = problems.length === 0 ? 0 : 1;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) main();
