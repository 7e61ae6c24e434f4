/**
 * Finishes what the compiler leaves: makes the program executable, copies files that are not compiled, and
 * removes output whose source is gone (an old test would go on running). Run by `npm run build`.
 * Needs nothing but Node, and fails when the program is missing.
 */
import { chmodSync, cpSync, existsSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

const top = dirname(import.meta.dirname);
const build = join(top, 'dist');

/** Folders whose other files (pages, transcripts, fixtures) are read at run time beside the compiled code. */
const FOLDERS = [
  'actors',
  'config',
  'examples',
  'protocol',
  'security',
  'server',
  'storage',
  'tests',
];
const COMPILED = /\.ts$/;
const OUTPUT = /\.(?:d\.ts|js\.map|js)$/;

chmodSync(join(build, 'server', 'cli.js'), 0o755);
report('copied', FOLDERS.flatMap(copyOthers));
report('removed', filesBelow(build).filter(isLeftOver).map(remove));

/** Returns the paths copied to the build. */
function copyOthers(folder) {
  return filesBelow(join(top, folder))
    .filter((path) => !COMPILED.test(path))
    .map((path) => {
      cpSync(path, join(build, relative(top, path)));
      return path;
    });
}

function isLeftOver(path) {
  const source = join(top, relative(build, path));
  return OUTPUT.test(path) && !existsSync(source.replace(OUTPUT, '.ts')) && !existsSync(source);
}

function remove(path) {
  rmSync(path);
  return path;
}

function filesBelow(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

function report(done, paths) {
  if (paths.length > 0) console.log(`${done} ${paths.length} files in dist`);
}
