export default {
  files: ['dist/tests/**/*.test.js', '!dist/tests/system/**'],
  timeout: '120s',
  workerThreads: false,
  concurrency: 2,
};
