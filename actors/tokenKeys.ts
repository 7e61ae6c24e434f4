/**
 * The keys that sign tokens, in three files under `<rootPath>/keys`; a node without a directory keeps them in memory.
 * Used by actors/users.ts. Nodes whose tokens are to count on one another have the same keys: `texts` and `replace`
 * are for handing them over. Signs nothing itself.
 */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { mkdir, open, readFile, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { invalidRequest, SkeinError } from '../protocol/errors.js';
import { generateTokenKeys, tokenKeysProblem, type TokenKeyTexts } from '../security/tokens.js';

const FILES = {
  privateKey: '.jwtPrivate.key',
  publicKey: '.jwtPublic.key',
  passphrase: '.jwtPass',
} as const;
const NAMES = Object.keys(FILES) as (keyof TokenKeyTexts)[];

const NO_KEYS =
  'unable to generate JWT as there are no encryption keys.  please contact your administrator';

export class TokenKeys {
  readonly #directory: string | null;
  readonly #log: Logger;
  readonly #isMadeAtFirstUse: boolean;
  #inMemory: Promise<TokenKeyTexts> | null = null;
  /** Settles when the files are there that the first use makes. */
  #made: Promise<void> | null = null;
  #public: { key: KeyObject; readAt: string } | null = null;

  /** `directory` null: in memory. `isMadeAtFirstUse`: of a node that nobody has called `prepare` for. */
  constructor(parts: { directory: string | null; log: Logger; isMadeAtFirstUse: boolean }) {
    this.#directory = parts.directory;
    this.#log = parts.log;
    this.#isMadeAtFirstUse = parts.isMadeAtFirstUse;
  }

  /** Makes the files where none of the three is, and ends what a crash has interrupted. What is there is never written over. */
  async prepare(): Promise<void> {
    if (this.#directory === null) return;
    await this.#endInterrupted();
    const present = await Promise.all(NAMES.map((name) => isThere(this.#path(name))));
    if (!present.includes(true)) return this.#store(await generateTokenKeys());
    const missing = NAMES.filter((_, index) => present[index] === false);
    for (const name of missing)
      this.#log.error(
        { file: this.#path(name) },
        'a key file is missing: no tokens until it is back, or all three are removed and made anew at the next start',
      );
  }

  /** The keys as they are now. STORAGE_FAILED (500) with the documented text when one is missing or damaged. */
  async texts(): Promise<TokenKeyTexts> {
    if (this.#directory === null) return (this.#inMemory ??= generateTokenKeys());
    if (this.#isMadeAtFirstUse) await (this.#made ??= this.prepare());
    const [privateKey, publicKey, passphrase] = await Promise.all([
      this.#read('privateKey'),
      this.#read('publicKey'),
      this.#read('passphrase'),
    ]);
    const texts = { privateKey, publicKey, passphrase: passphrase.trim() };
    const problem = tokenKeysProblem(texts);
    if (problem === undefined) return texts;
    this.#log.error({ directory: this.#directory, problem }, 'the keys of tokens cannot be used');
    throw noKeys();
  }

  /** What verifies; read again when the file is another one. Errors as with `texts`. */
  async publicKey(): Promise<KeyObject> {
    if (this.#directory === null) return createPublicKey((await this.texts()).publicKey);
    const readAt = await this.#stampOf('publicKey');
    if (this.#public?.readAt !== readAt)
      this.#public = { key: publicKeyOf(await this.#read('publicKey')), readAt };
    return this.#public.key;
  }

  /** From now on these; tokens of the keys before end. INVALID_REQUEST for what is no pair. */
  async replace(texts: TokenKeyTexts): Promise<void> {
    const problem = tokenKeysProblem(texts);
    if (problem !== undefined) throw invalidRequest(`the keys of tokens are refused: ${problem}`);
    if (this.#directory === null) this.#inMemory = Promise.resolve(texts);
    else await this.#store(texts);
  }

  /** All three are whole on the disk before the first gets its name. */
  async #store(texts: TokenKeyTexts): Promise<void> {
    if (this.#directory === null) return;
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    for (const name of NAMES) await writePrivately(unfinished(this.#path(name)), texts[name]);
    for (const name of NAMES) await rename(unfinished(this.#path(name)), this.#path(name));
  }

  /** Files that were about to get their names, when they are what completes the pair and nothing else does. */
  async #endInterrupted(): Promise<void> {
    const waiting: (keyof TokenKeyTexts)[] = [];
    for (const name of NAMES) if (await isThere(unfinished(this.#path(name)))) waiting.push(name);
    if (waiting.length === 0 || (await this.#areSound([]))) return;
    if (!(await this.#areSound(waiting))) return;
    for (const name of waiting) await rename(unfinished(this.#path(name)), this.#path(name));
  }

  async #areSound(waiting: readonly (keyof TokenKeyTexts)[]): Promise<boolean> {
    const texts = new Map<keyof TokenKeyTexts, string>();
    for (const name of NAMES) {
      const path = waiting.includes(name) ? unfinished(this.#path(name)) : this.#path(name);
      if (!(await isThere(path))) return false;
      texts.set(name, await readFile(path, 'utf8'));
    }
    const { privateKey = '', publicKey = '', passphrase = '' } = Object.fromEntries(texts);
    return tokenKeysProblem({ privateKey, publicKey, passphrase: passphrase.trim() }) === undefined;
  }

  #path(name: keyof TokenKeyTexts): string {
    return join(this.#directory ?? '', FILES[name]);
  }

  async #read(name: keyof TokenKeyTexts): Promise<string> {
    try {
      return await readFile(this.#path(name), 'utf8');
    } catch (error) {
      throw noKeys(error);
    }
  }

  async #stampOf(name: keyof TokenKeyTexts): Promise<string> {
    try {
      const { ino, size, mtimeMs } = await stat(this.#path(name));
      return `${ino} ${size} ${mtimeMs}`;
    } catch (error) {
      throw noKeys(error);
    }
  }
}

const noKeys = (cause?: unknown): SkeinError =>
  new SkeinError('STORAGE_FAILED', NO_KEYS, { cause });

const publicKeyOf = (text: string): KeyObject => {
  try {
    return createPublicKey(text);
  } catch (error) {
    throw noKeys(error);
  }
};

const isThere = async (path: string): Promise<boolean> => {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
    throw error;
  }
};

const unfinished = (path: string): string => `${path}.new`;

/** Readable for the owner only from its first byte on. */
const writePrivately = async (path: string, text: string): Promise<void> => {
  const file = await open(path, 'w', 0o600);
  try {
    await file.chmod(0o600);
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
};
