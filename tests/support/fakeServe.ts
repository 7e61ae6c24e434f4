/**
 * `skein start` around a fake node, for tests of the process: signals, greeting, exit codes. Arguments are
 * those of the configuration; the variable CLOSING says how the node closes. Run as a process of its own.
 */
import { setTimeout } from 'node:timers/promises';
import { runStart } from '../../server/cli/start.js';
import { fakeNode } from './fakeNode.js';

const close = async (): Promise<void> => {
  console.log('closing the node');
  await setTimeout(process.env['CLOSING'] === 'never' ? 60_000 : 10);
  console.log('node closed');
};

await runStart({ settings: process.argv.slice(2) }, async (config) => ({
  ...fakeNode({ name: config.node.name }),
  config,
  close,
}));
