/** The real environment: ids, and timers that let a finished process go. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { platform } from 'node:os';
import { promisify } from 'node:util';
import test from 'ava';
import { derivedBootId, systemEnvironment } from '../../actors/environment.js';

test('ids are hexadecimal, as long as asked, and never twice the same', (t) => {
  const { randomId } = systemEnvironment();
  t.regex(randomId(8), /^[0-9a-f]{16}$/);
  t.is(new Set(Array.from({ length: 1000 }, () => randomId(8))).size, 1000);
});

test('the boot id is the same for every environment, the start id is not', (t) => {
  const [first, second] = [systemEnvironment(), systemEnvironment()];
  t.is(first.bootId, second.bootId);
  t.not(first.processStartId, second.processStartId);
  t.regex(first.processStartId, /^[0-9a-f]{16}$/);
});

test('on Linux the boot id is the kernel’s', (t) => {
  if (platform() !== 'linux') {
    t.pass();
    return;
  }
  const kernels = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  t.is(systemEnvironment().bootId, kernels);
});

test('a derived boot id stays the same while the machine is up and changes with the next start', (t) => {
  const soon = derivedBootId({ now: 1_700_000_000_000, uptimeSeconds: 100 });
  const later = derivedBootId({ now: 1_700_003_600_400, uptimeSeconds: 3_700 });
  const restarted = derivedBootId({ now: 1_700_003_600_000, uptimeSeconds: 30 });
  t.regex(soon, /^[0-9a-f]{32}$/);
  t.is(later, soon);
  t.not(restarted, soon);
});

test('a timer runs, unless it is cleared', async (t) => {
  const { setTimer, clearTimer } = systemEnvironment();
  const holding = setInterval(() => undefined, 1000);
  const ran: string[] = [];
  clearTimer(setTimer(1, () => ran.push('cleared')));
  setTimer(2 ** 40, () => ran.push('in 35 years'));
  await new Promise<void>((resolve) => setTimer(20, resolve));
  clearInterval(holding);
  t.deepEqual(ran, []);
});

test('a forgotten timer does not keep the process alive', async (t) => {
  const module = new URL('../../actors/environment.js', import.meta.url).href;
  const program = `import { systemEnvironment } from ${JSON.stringify(module)};
    systemEnvironment().setTimer(60_000, () => undefined);`;
  const options = ['--input-type=module', '--eval', program];
  await t.notThrowsAsync(promisify(execFile)(process.execPath, options, { timeout: 20_000 }));
});
