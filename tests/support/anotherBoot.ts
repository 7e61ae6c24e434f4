/**
 * Loaded before a node's own program: what a node reads as the identifier of the machine's start is another one than
 * before, as after a loss of power. Named by `afterPowerLoss` in powerLoss.ts.
 */
import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const BOOT_ID_FILE = '/proc/sys/kernel/random/boot_id';
const read = fs.readFileSync;

fs.readFileSync = ((path: unknown, ...options: unknown[]) =>
  path === BOOT_ID_FILE
    ? `${randomUUID()}\n`
    : (read as (...all: unknown[]) => unknown)(path, ...options)) as typeof read;
syncBuiltinESMExports();
