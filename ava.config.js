/**
 * Tests run on the compiler's output; SKEIN_BUILD names another output folder.
 * SKEIN_TESTS=system runs the tests that need Debian packages (scripts/systemTests.mjs sets it) and only those.
 */
const build = process.env.SKEIN_BUILD ?? 'dist';

const everyday = {
  files: [`${build}/tests/**/*.test.js`, `!${build}/tests/system/**`],
  timeout: '120s',
  workerThreads: false,
  concurrency: 2,
};

/** One at a time: each starts whole clusters of processes, and kills some. */
const system = {
  files: [`${build}/tests/system/**/*.test.js`],
  timeout: '300s',
  workerThreads: false,
  concurrency: 1,
};

export default process.env.SKEIN_TESTS === 'system' ? system : everyday;
