/** Tests run on the compiler's output; SKEIN_BUILD names another output folder. */
const build = process.env.SKEIN_BUILD ?? 'dist';

export default {
  files: [`${build}/tests/**/*.test.js`, `!${build}/tests/system/**`],
  timeout: '120s',
  workerThreads: false,
  concurrency: 2,
};
