/**
 * Holds this checkout to the rules of scripts/tidy.ts, one test per rule.
 * That each check can fail is shown in tests/unit/tidyChecks.test.ts.
 */
import test from 'ava';
import { checks, formatProblem, readCheckout } from '../scripts/tidy.js';

const files = readCheckout();

for (const check of checks) {
  test(check.rule, (t) => {
    t.deepEqual(check.run(files).map(formatProblem), []);
  });
}

test('the sources of this checkout were found', (t) => {
  const paths = files.map((file) => file.path);
  t.true(paths.includes('protocol/ids.ts'));
  t.true(paths.includes('tests/tidy.test.ts'));
  t.false(paths.some((path) => path.startsWith('node_modules/') || path.startsWith('dist/')));
});
