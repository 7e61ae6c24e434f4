/**
 * What code must not reach for: `protocol/` decides without clock, chance, timers or waiting, and only the
 * loader of the configuration and the program read the environment. Called by scripts/tidy.ts.
 */
import { importsOf, isSource } from './imports.js';
import { codeOf, problemsForMatches } from './sourceText.js';
import type { Problem, SourceFile } from './sourceText.js';

const IMPURE: readonly { readonly what: string; readonly pattern: RegExp }[] = [
  {
    what: 'the clock',
    pattern: /\bDate\s*\.\s*now\b|\bnew\s+Date\s*(?:\(\s*\)|;)|\bperformance\b/g,
  },
  { what: 'the clock', pattern: /(?<!\bnew\s+)(?<!\.)\bDate\s*\(/g },
  { what: 'chance', pattern: /\bMath\s*\.\s*random\b|\brandomUUID\b|\brandomBytes\b|\bcrypto\b/g },
  { what: 'timers', pattern: /\b(?:set(?:Timeout|Interval|Immediate)|queueMicrotask)\b/g },
  { what: 'waiting', pattern: /\b(?:async|await|Promise)\b/g },
  { what: 'the process', pattern: /(?<![.\w])process\b(?!\s*[:(])|\bglobalThis\b/g },
];

/** Modules of Node without effects: checksums (crc32) and the checking of bytes (isUtf8). */
const PURE_NODE_MODULES = ['node:zlib', 'node:buffer'];

const MAY_READ_ENVIRONMENT =
  /^(?:config\/load\.ts|server\/cli.*|scripts\/.*|tests\/.*|[^/]+\.config\.js)$/;

export function checkProtocolPurity(files: readonly SourceFile[]): Problem[] {
  const protocol = files.filter((file) => file.path.startsWith('protocol/'));
  const words = protocol.flatMap((file) => {
    const within = codeOf(file.text);
    return IMPURE.flatMap(({ what, pattern }) =>
      problemsForMatches({
        file,
        within,
        pattern,
        message: (found) => `protocol must not use ${what}: ${found}`,
      }),
    );
  });
  const modules = importsOf(protocol)
    .filter(
      (found) =>
        found.specifier.startsWith('node:') && !PURE_NODE_MODULES.includes(found.specifier),
    )
    .map((found) => ({
      path: found.from,
      line: found.line,
      message: `protocol must not import ${found.specifier}`,
    }));
  return [...words, ...modules];
}

export function checkEnvironmentAccess(files: readonly SourceFile[]): Problem[] {
  return files
    .filter((file) => isSource(file.path) && !MAY_READ_ENVIRONMENT.test(file.path))
    .flatMap((file) =>
      problemsForMatches({
        file,
        within: codeOf(file.text),
        pattern: /(?<![.\w])process\s*\??\.\s*env\b|\}\s*=\s*process\b/g,
        message: () => 'only config/load.ts and the program may read the environment',
      }),
    );
}
