/**
 * What is wrong with a configuration, collected so that one start shows everything there is to mend. Made per
 * call by resolve.ts and load.ts, filled by all of config/.
 */
import { SkeinError } from '../protocol/errors.js';

/** Tells where the value at a path was written (`skein.yaml line 3`); undefined when nobody knows. */
export type DescribeOrigin = (path: readonly string[]) => string | undefined;

export interface Findings {
  /** The configuration cannot be used. `path` is the key concerned, for the place where it was written. */
  problem(path: readonly string[], text: string): void;
  /** Said once, however often it is found. */
  warn(path: readonly string[], text: string): void;
  readonly warnings: readonly string[];
  /** Throws INVALID_CONFIGURATION with all problems, if there are any. */
  throwProblems(): void;
}

export function collectFindings(describeOrigin: DescribeOrigin = () => undefined): Findings {
  const problems = new Set<string>();
  const warnings = new Set<string>();
  const located = (path: readonly string[], text: string): string => {
    const place = path.length === 0 ? undefined : describeOrigin(path);
    return place === undefined ? text : `${text} (${place})`;
  };
  return {
    problem: (path, text) => void problems.add(located(path, text)),
    warn: (path, text) => void warnings.add(located(path, text)),
    get warnings() {
      return [...warnings];
    },
    throwProblems() {
      if (problems.size > 0) throw invalidConfiguration(sentences(problems));
    },
  };
}

const sentences = (problems: ReadonlySet<string>): string =>
  [...problems]
    .map((text) => (text.endsWith('?') ? text : `${text}.`))
    .join(' ')
    .replace(/\.$/, '');

/** The error of everything that is wrong with a configuration or with a schema file it names. */
export const invalidConfiguration = (text: string, cause?: unknown): SkeinError =>
  new SkeinError(
    'INVALID_CONFIGURATION',
    `Skein config file validation error: ${text}`,
    cause === undefined ? {} : { cause },
  );

/** `'replication.port'`, as messages quote keys. */
export const quoted = (path: readonly string[]): string => `'${path.join('.')}'`;
