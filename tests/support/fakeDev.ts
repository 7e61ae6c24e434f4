/**
 * `skein dev` with other ports and another script for its nodes, for tests. Its one argument is the
 * command as JSON. Run as a process of its own.
 */
import { runDev, type DevCommand } from '../../server/cli/dev.js';

process.exitCode = await runDev(JSON.parse(process.argv[2] ?? '') as DevCommand);
