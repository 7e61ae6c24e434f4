/**
 * Stands in for `skein start` in tests of `skein dev`: a process that does not stop when asked to.
 * Run as a process of its own; ends with its parent's channel, so that no test leaves it behind.
 */
process.on('SIGTERM', () => console.log('SIGTERM ignored'));
process.on('disconnect', () => process.exit(0));
console.log('stubborn');
