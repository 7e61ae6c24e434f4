/**
 * Runs the tests in tests/system/, which need programs and data of Debian packages, on the built project.
 * Run by `npm run test:system`; `--packages` prints the packages and runs nothing (used by .ci/run).
 * Never skips: a missing package is a failure that names it.
 */
import { spawnSync } from 'node:child_process';
import { dirname } from 'node:path';

/** Package -> what the tests use it for. */
const PACKAGES = {
  openssl: 'the command that judges certificates and connections',
  'iso-codes': 'real tables of records, from /usr/share/iso-codes/json',
};

/** Names of the packages that are not installed. Throws where there is no Debian package database. */
function missingPackages() {
  return Object.keys(PACKAGES).filter((name) => statusOf(name) !== 'install ok installed');
}

function statusOf(name) {
  const answer = spawnSync('dpkg-query', ['--show', '--showformat=${Status}', name], {
    encoding: 'utf8',
  });
  if (answer.error !== undefined) {
    throw new Error('The system tests need Debian (or a relative): dpkg-query cannot be run.', {
      cause: answer.error,
    });
  }
  return answer.stdout;
}

function explain(missing) {
  console.error('The system tests need Debian packages that are not installed:');
  for (const name of missing) console.error(`  ${name}: ${PACKAGES[name]}`);
  console.error(`Install them with\n  sudo apt-get install ${missing.join(' ')}`);
}

function runTests() {
  const { status, error } = spawnSync('npx', ['--no-install', 'ava', ...process.argv.slice(2)], {
    cwd: dirname(import.meta.dirname),
    env: { ...process.env, SKEIN_TESTS: 'system' },
    stdio: 'inherit',
  });
  if (error !== undefined) throw error;
  return status ?? 1;
}

function main() {
  if (process.argv.includes('--packages')) {
    console.log(Object.keys(PACKAGES).join('\n'));
    return 0;
  }
  const missing = missingPackages();
  if (missing.length === 0) return runTests();
  explain(missing);
  return 1;
}

process.exitCode = main();
