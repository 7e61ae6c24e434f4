/**
 * The wall clock of a process that the tests start, put forward and back while it runs: libfaketime (a Debian package)
 * loaded before everything else, with the offset in a file. Timers go on as they are. Called by tests/system only.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export class FakeClock {
  /** For the process whose clock this is. */
  readonly environment: NodeJS.ProcessEnv;
  readonly #directory = mkdtempSync(join(tmpdir(), 'skein-clock-'));
  readonly #file = join(this.#directory, 'offset');

  constructor(aheadMs = 0) {
    this.set(aheadMs);
    this.environment = {
      LD_PRELOAD: libraryFile(),
      FAKETIME_TIMESTAMP_FILE: this.#file,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      NO_FAKE_STAT: '1',
    };
  }

  /** From now on that process sees the true time and so much more. The file is never seen half written. */
  set(aheadMs: number): void {
    const next = join(this.#directory, 'next');
    writeFileSync(next, `${aheadMs < 0 ? '-' : '+'}${Math.abs(aheadMs) / 1000}`);
    renameSync(next, this.#file);
  }

  /** Of these processes, which ran with it, none does any more. The library leaves shared memory where one was killed. */
  remove(pids: Iterable<number>): void {
    rmSync(this.#directory, { recursive: true });
    for (const pid of pids)
      for (const name of [`faketime_shm_${pid}`, `sem.faketime_sem_${pid}`])
        rmSync(join('/dev/shm', name), { force: true });
  }
}

/** The one for programs with threads. Throws when the package is not installed. */
const libraryFile = (): string => {
  const files = execFileSync('dpkg-query', ['--listfiles', 'libfaketime'], { encoding: 'utf8' });
  const file = files.split('\n').find((line) => line.endsWith('/libfaketimeMT.so.1'));
  if (file === undefined) throw new Error('The package libfaketime has no libfaketimeMT.so.1');
  return file;
};
