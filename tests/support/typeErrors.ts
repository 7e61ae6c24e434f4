/**
 * Compiles a piece of TypeScript against this checkout, in a folder of its own under `.build`, and tells
 * which lines are wrong. For the tests of what must not compile. The compiler has no API to do it in memory.
 */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const CHECKOUT = process.cwd();
const TSC = join(CHECKOUT, 'node_modules', '.bin', 'tsc');

/** Lines end with this where a mistake is made on purpose. */
export const MARK = '// does not compile';

/** Numbers of the lines with the mark, counted from 1. */
export const markedLines = (source: string): readonly number[] =>
  source.split('\n').flatMap((line, index) => (line.trimEnd().endsWith(MARK) ? [index + 1] : []));

/** Numbers of the lines the compiler refuses, ascending. The source imports ours from `../../`. */
export const typeErrors = async (source: string): Promise<readonly number[]> => {
  await mkdir(join(CHECKOUT, '.build'), { recursive: true });
  const folder = await mkdtemp(join(CHECKOUT, '.build', 'types-'));
  try {
    await writeFile(join(folder, 'fixture.ts'), source);
    await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(PROJECT));
    return linesOf(await compile(folder));
  } finally {
    await rm(folder, { recursive: true });
  }
};

const PROJECT = {
  extends: '../../tsconfig.json',
  compilerOptions: { noEmit: true, incremental: false, tsBuildInfoFile: null, rootDir: '../..' },
  include: ['fixture.ts'],
};

const compile = (folder: string): Promise<string> =>
  new Promise((resolve, reject) => {
    execFile(TSC, ['--pretty', 'false', '-p', folder], { cwd: folder }, (error, stdout, stderr) => {
      // The compiler says 1 or 2 for errors in the source; anything else means that it did not run.
      const code = error === null ? 0 : error.code;
      if (code === 0 || code === 1 || code === 2) resolve(stdout);
      else reject(new Error(`tsc failed: ${stderr}`, { cause: error }));
    });
  });

/** An error elsewhere (or about the project itself) would make the answer meaningless. */
const linesOf = (output: string): readonly number[] => {
  const errors = output.split('\n').filter((line) => line.includes('error TS'));
  const lines = errors.map((error) => {
    const [, line] = /^fixture\.ts\((\d+),/.exec(error) ?? [];
    if (line === undefined) throw new Error(`unexpected: ${error}`);
    return Number(line);
  });
  return [...new Set(lines)].sort((a, b) => a - b);
};
