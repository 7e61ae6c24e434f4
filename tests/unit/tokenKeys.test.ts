/** The three key files: made once, for the owner alone, never written over, and needed whole. */
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { TokenKeys } from '../../actors/tokenKeys.js';
import { SkeinError } from '../../protocol/errors.js';
import { readToken, signToken } from '../../security/tokens.js';
import { SILENT } from '../support/embedded.js';

const FILES = ['.jwtPass', '.jwtPrivate.key', '.jwtPublic.key'];
const NO_KEYS =
  'unable to generate JWT as there are no encryption keys.  please contact your administrator';

const directoryFor = async (t: ExecutionContext): Promise<string> => {
  const root = await mkdtemp(join(tmpdir(), 'skein-keys-'));
  t.teardown(() => rm(root, { recursive: true, force: true }));
  return join(root, 'keys');
};

const keysIn = (directory: string | null, isMadeAtFirstUse = false): TokenKeys =>
  new TokenKeys({ directory, log: SILENT, isMadeAtFirstUse });

const token = async (keys: TokenKeys): Promise<string> =>
  signToken(await keys.texts(), {
    username: 'ada',
    superUser: false,
    kind: 'operation',
    series: '1',
    issuedMs: 0,
    lifeMs: 60_000,
  });

test('they are made at the first start, readable for the owner only, and stay', async (t) => {
  const directory = await directoryFor(t);
  await keysIn(directory).prepare();
  t.deepEqual((await readdir(directory)).sort(), FILES);
  for (const file of FILES) t.is((await stat(join(directory, file))).mode & 0o777, 0o600, file);
  t.is((await stat(directory)).mode & 0o777, 0o700);
  const before = await keysIn(directory).texts();
  await keysIn(directory).prepare();
  t.deepEqual(await keysIn(directory).texts(), before);
});

for (const missing of FILES)
  test(`without ${missing} there are no tokens, and nothing is made in its place`, async (t) => {
    const directory = await directoryFor(t);
    await keysIn(directory).prepare();
    await rm(join(directory, missing));
    const keys = keysIn(directory);
    await keys.prepare();
    const error = await t.throwsAsync(keys.texts(), { instanceOf: SkeinError, message: NO_KEYS });
    t.is(error?.statusCode, 500);
    t.deepEqual(
      (await readdir(directory)).sort(),
      FILES.filter((file) => file !== missing),
    );
  });

test('a crash at any moment of the first start, or of handing keys over, leaves whole keys behind', async (t) => {
  const [old, other] = [await keysIn(null).texts(), await keysIn(null).texts()];
  const written = ['.jwtPrivate.key', '.jwtPublic.key', '.jwtPass'] as const;
  const textOf = (texts: typeof old, file: (typeof written)[number]): string =>
    ({
      '.jwtPrivate.key': texts.privateKey,
      '.jwtPublic.key': texts.publicKey,
      '.jwtPass': texts.passphrase,
    })[file];
  for (const before of [null, old])
    for (let moment = 0; moment <= 6; moment++) {
      const directory = await directoryFor(t);
      await mkdir(directory);
      for (const file of before === null ? [] : written)
        await writeFile(join(directory, file), textOf(old, file));
      // Three files are written, then three are renamed; the one being written is there in part.
      for (const [index, file] of written.entries()) {
        const isRenamed = moment > 3 + index;
        const name = isRenamed ? file : `${file}.new`;
        const text = textOf(other, file);
        if (moment > index) await writeFile(join(directory, name), text);
        else if (moment === index) await writeFile(join(directory, name), text.slice(0, 10));
      }
      const keys = keysIn(directory);
      await keys.prepare();
      const found = await keys.texts();
      if (moment > 3) t.deepEqual(found, other, `${moment}`);
      else if (before !== null) t.deepEqual(found, old, `${moment}`);
    }
});

test('damaged keys are no keys, and are not written over', async (t) => {
  const directory = await directoryFor(t);
  await keysIn(directory).prepare();
  for (const file of FILES) {
    const path = join(directory, file);
    const whole = await readFile(path);
    await writeFile(path, 'damaged');
    await t.throwsAsync(keysIn(directory).texts(), { message: NO_KEYS }, file);
    await writeFile(path, whole);
  }
  await writeFile(join(directory, '.jwtPublic.key'), 'damaged');
  await t.throwsAsync(keysIn(directory).publicKey(), { message: NO_KEYS });
});

test('a file of that name from before is made readable for the owner only', async (t) => {
  const directory = await directoryFor(t);
  await mkdir(directory);
  await writeFile(join(directory, '.jwtPrivate.key.new'), 'left over', { mode: 0o644 });
  await keysIn(directory).prepare();
  t.is((await stat(join(directory, '.jwtPrivate.key'))).mode & 0o777, 0o600);
});

test('keys that are handed over count at once on both nodes, and the ones before no more', async (t) => {
  const [one, other] = [await directoryFor(t), await directoryFor(t)];
  const [giver, taker] = [keysIn(one), keysIn(other)];
  await Promise.all([giver.prepare(), taker.prepare()]);
  const own = await token(taker);
  const given = await token(giver);
  await t.notThrowsAsync(readToken(await taker.publicKey(), own, 0));
  await taker.replace(await giver.texts());
  t.is((await readToken(await taker.publicKey(), given, 0)).username, 'ada');
  t.is((await readToken(await giver.publicKey(), await token(taker), 0)).username, 'ada');
  await t.throwsAsync(readToken(await taker.publicKey(), own, 0), { message: 'invalid token' });
  t.is((await stat(join(other, '.jwtPrivate.key'))).mode & 0o777, 0o600);
});

test('what is no pair is not taken over', async (t) => {
  for (const directory of [await directoryFor(t), null]) {
    const keys = keysIn(directory);
    await keys.prepare();
    const before = await keys.texts();
    const foreign = await keysIn(null).texts();
    await t.throwsAsync(keys.replace({ ...before, publicKey: foreign.publicKey }), {
      code: 'INVALID_REQUEST',
    });
    t.deepEqual(await keys.texts(), before);
  }
});

test('a node without a directory has keys of its own', async (t) => {
  const keys = keysIn(null);
  t.is((await readToken(await keys.publicKey(), await token(keys), 0)).username, 'ada');
  t.deepEqual(await keys.texts(), await keys.texts());
});

test('a node that opens no operations API makes them when they are needed', async (t) => {
  const directory = await directoryFor(t);
  const keys = keysIn(directory, true);
  t.is((await readToken((await keys.texts()).publicKey, await token(keys), 0)).username, 'ada');
  t.deepEqual((await readdir(directory)).sort(), FILES);
});
