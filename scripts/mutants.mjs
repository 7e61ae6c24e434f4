/**
 * Breaks the sources on purpose, one patch of scripts/mutants/ at a time, and expects the checks to notice.
 * Run by `npm run mutants` (`-- --only <name>` for some); works on copies under .build/mutants, never on the
 * checkout. A patch that no longer applies, does not compile or is not noticed makes the run fail.
 *
 * The first line of a patch may name its check: `# run: node dist/scripts/simulate.js --seeds 50`.
 * Each distinct check is first run on unbroken sources: one that fails there finds nothing.
 */
import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { parseArgs } from 'node:util';

const top = dirname(import.meta.dirname);
const patches = join(top, 'scripts', 'mutants');
const scratch = join(top, '.build', 'mutants');

const DEFAULT_CHECK = 'node dist/scripts/simulate.js --seeds 200';
const CHECK_MS_MAX = 180_000;
const OUTPUT_CHARACTERS_KEPT = 20_000;
const NOT_COPIED = new Set(['node_modules', 'dist', 'coverage', '.git', '.build', '.skein']);

const { values: given } = parseArgs({
  options: { only: { type: 'string', multiple: true } },
});

process.exitCode = await main();

async function main() {
  const mutants = readMutants();
  if (mutants.length === 0) {
    console.error(`No patch to try in ${relative(process.cwd(), patches)}.`);
    return 1;
  }
  const unsound = await unsoundChecks([...new Set(mutants.map((mutant) => mutant.check))]);
  if (unsound.length > 0) {
    for (const check of unsound) console.error(`fails on unbroken sources: ${check}`);
    return 1;
  }
  const results = [];
  for (const mutant of mutants) results.push(await tryMutant(mutant));
  printTable(results);
  const found = results.filter((result) => result.found).length;
  console.log(`${found} of ${results.length} mutants found`);
  return found === results.length ? 0 : 1;
}

function readMutants() {
  const wanted = given.only;
  const all = readdirSync(patches)
    .filter((file) => file.endsWith('.patch'))
    .sort()
    .map((file) => {
      const text = readFileSync(join(patches, file), 'utf8');
      const check = /^# run: *(.+)$/m.exec(text.split('\n', 1)[0])?.[1].trim() ?? DEFAULT_CHECK;
      return { name: file.replace(/\.patch$/, ''), patch: join(patches, file), check };
    });
  const unknown = (wanted ?? []).filter((name) => !all.some((mutant) => mutant.name === name));
  if (unknown.length > 0) throw new Error(`No such mutant: ${unknown.join(', ')}`);
  return wanted === undefined ? all : all.filter((mutant) => wanted.includes(mutant.name));
}

/** Those of the checks that do not pass on a copy of the sources as they are. */
async function unsoundChecks(checks) {
  const folder = copySources('unbroken');
  const compiled = await compile(folder);
  if (!compiled.passed) throw new Error(`The sources do not compile:\n${compiled.output}`);
  const unsound = [];
  for (const check of checks) {
    console.log(`on unbroken sources: ${check}`);
    const { passed, output } = await run(check, folder);
    if (passed) continue;
    console.error(output);
    unsound.push(check);
  }
  rmSync(folder, { recursive: true });
  return unsound;
}

async function tryMutant(mutant) {
  console.log(`${mutant.name}: ${mutant.check}`);
  const started = performance.now();
  const outcome = await outcomeOf(mutant);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  return { name: mutant.name, by: outcome.by, seconds, found: outcome.found };
}

async function outcomeOf({ name, patch, check }) {
  const folder = copySources(name);
  const applied = await run(`git apply --whitespace=nowarn '${patch}'`, folder);
  if (!applied.passed) return problem('patch does not apply', applied.output);
  const compiled = await compile(folder);
  if (!compiled.passed) return problem('does not compile', compiled.output);
  const checked = await run(check, folder);
  if (checked.timedOut) return problem('check did not end', checked.output);
  // A survivor's folder stays, to be looked at.
  if (checked.passed) return { found: false, by: 'nothing' };
  rmSync(folder, { recursive: true });
  return { found: true, by: check };
}

function problem(by, output) {
  console.error(output);
  return { found: false, by };
}

function copySources(name) {
  const folder = join(scratch, name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const entry of readdirSync(top)) {
    if (!NOT_COPIED.has(entry)) cpSync(join(top, entry), join(folder, entry), { recursive: true });
  }
  symlinkSync(join(top, 'node_modules'), join(folder, 'node_modules'));
  return folder;
}

function compile(folder) {
  return run('npx --no-install tsc -p tsconfig.json && node scripts/afterBuild.mjs', folder);
}

/** Runs a shell command in the folder; resolves with whether it ended well and the end of what it wrote. */
function run(command, folder) {
  const environment = { ...process.env, CI: 'true', GIT_CEILING_DIRECTORIES: scratch };
  delete environment.SKEIN_BUILD;
  return new Promise((resolve, reject) => {
    const child = spawn(command, {
      cwd: folder,
      env: environment,
      shell: true,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    let timedOut = false;
    const keep = (text) => (output = (output + text).slice(-OUTPUT_CHARACTERS_KEPT));
    child.stdout.setEncoding('utf8').on('data', keep);
    child.stderr.setEncoding('utf8').on('data', keep);
    const timer = setTimeout(() => {
      timedOut = true;
      process.kill(-child.pid, 'SIGKILL');
    }, CHECK_MS_MAX);
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(timer);
      resolve({ passed: code === 0, timedOut, output });
    });
  });
}

function printTable(results) {
  const rows = [
    ['mutant', 'found by', 'seconds', 'found'],
    ...results.map(({ name, by, seconds, found }) => [name, by, seconds, found ? 'yes' : 'no']),
  ];
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  for (const row of rows) {
    console.log(
      row
        .map((cell, column) => cell.padEnd(widths[column]))
        .join('  ')
        .trimEnd(),
    );
  }
}
