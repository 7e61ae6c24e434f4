/** Certificates in files of the operator: which of them become rows, and what a file that changes does. */
import { mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { CertificateTable } from '../../actors/certificateTable.js';
import type { RouterMessage } from '../../actors/messages.js';
import { ProvidedFiles } from '../../actors/providedFiles.js';
import type { AskSystem } from '../../actors/users.js';
import { resolveConfig } from '../../config/resolve.js';
import type { ConfigInput } from '../../config/types.js';
import { SkeinError } from '../../protocol/errors.js';
import type { RecordObject } from '../../protocol/operations.js';
import { issue, type KeyedCertificate, type Wish } from '../support/certificates.js';

interface Scene {
  readonly directory: string;
  readonly rows: Map<string, RecordObject>;
  readonly table: CertificateTable;
  readonly logged: string[];
  nowMs: number;
  /** Set: nothing can be stored. */
  broken: boolean;
  writes: number;
  readonly provided: (config: ConfigInput) => ProvidedFiles;
}

const openScene = async (t: ExecutionContext): Promise<Scene> => {
  const directory = await mkdtemp(join(tmpdir(), 'skein-provided-'));
  t.teardown(() => rm(directory, { recursive: true, force: true }));
  const rows = new Map<string, RecordObject>();
  const logged: string[] = [];
  const say = (fields: object, text?: string): void =>
    void logged.push(`${text ?? ''} ${JSON.stringify(fields)}`);
  const submit = (
    writes: Extract<RouterMessage, { type: 'transaction.submit' }>['writes'],
  ): void => {
    if (scene.broken) throw new SkeinError('STORAGE_FAILED', 'the disk is full');
    scene.writes++;
    for (const write of writes)
      if (write.type === 'delete') for (const key of write.keys) rows.delete(String(key));
      else
        for (const record of write.records)
          rows.set(String(record['name']), { ...record, __updatedtime__: scene.nowMs });
  };
  const ask: AskSystem = <T>(
    question: (replyTo: { ok: (value: T) => void; fail: (error: Error) => void }) => RouterMessage,
  ): Promise<T> =>
    new Promise<T>((ok, fail) => {
      const message = question({ ok, fail });
      if (message.type === 'transaction.submit') submit(message.writes);
      const found =
        message.type === 'records.search' && message.table === 'hdb_certificate'
          ? [...rows.values()]
          : [];
      ok(found as T);
    });
  const table = new CertificateTable(ask, {
    read: async () => undefined,
    write: async () => undefined,
    remove: async () => undefined,
  });
  const scene: Scene = {
    directory,
    rows,
    table,
    logged,
    nowMs: Date.now(),
    broken: false,
    writes: 0,
    provided: (input) => {
      const replication = { hostname: 'server-one', securePort: 1 };
      const { config } = resolveConfig({ rootPath: directory, replication, ...input });
      const log = { warn: say, info: () => undefined };
      return new ProvidedFiles({ table, config, log: log as never, now: () => scene.nowMs });
    },
  };
  return scene;
};

const write = async (
  { directory }: Scene,
  { certificate, key }: KeyedCertificate,
  name = 'a',
): Promise<{ certificate: string; privateKey: string }> => {
  await writeFile(join(directory, `${name}.pem`), certificate);
  await writeFile(join(directory, `${name}.key`), key);
  return { certificate: `${name}.pem`, privateKey: `${name}.key` };
};

const own = (wish: Wish = {}): Promise<KeyedCertificate> =>
  issue({ commonName: 'server-one', dns: ['server-one'], ...wish });

const certificateOf = ({ rows }: Scene, name: string): unknown => rows.get(name)?.['certificate'];

test('each entry gets a row of its own, and the key of it', async (t) => {
  const scene = await openScene(t);
  const [first, second, api] = [await own(), await own(), await own()];
  await scene
    .provided({
      tls: [
        await write(scene, first, 'a'),
        { ...(await write(scene, second, 'b')), uses: ['wss'] },
      ],
      operationsApi: { network: { securePort: 2 }, tls: await write(scene, api, 'c') },
    })
    .takeAll();
  t.deepEqual(
    [...scene.rows].map(([name, { certificate, uses }]) => [name, certificate, uses]),
    [
      ['server-one-provided', first.certificate, ['replication']],
      ['server-one-provided-1', second.certificate, ['wss']],
      ['server-one-operations', api.certificate, ['operations']],
    ],
  );
  t.deepEqual(
    scene.table.rows.map((row) => scene.table.keyOf(row)),
    [first.key, second.key, api.key],
  );
});

test('a start with the files of before writes nothing', async (t) => {
  const scene = await openScene(t);
  const tls = await write(scene, await own());
  await scene.provided({ tls }).takeAll();
  await scene.provided({ tls }).takeAll();
  t.is(scene.writes, 1);
});

test('a file beats what was stored before it was written, not what was stored after', async (t) => {
  const scene = await openScene(t);
  const file = await issue({ commonName: 'alias' });
  const stored = await issue({ commonName: 'alias' });
  const tls = await write(scene, file);
  const put = (nowMs: number): Promise<void> => {
    scene.nowMs = nowMs;
    const [row] = scene.table.rows;
    if (!row) throw new Error('there is a row');
    const { certificate } = stored;
    return scene.table.put([{ ...row, certificate, fileTimestamp: null }], 'add_certificate');
  };
  await scene.provided({ tls }).takeAll();
  await put(Date.now() + 5_000);
  await scene.provided({ tls }).takeAll();
  t.is(certificateOf(scene, 'alias'), stored.certificate);
  const later = new Date(Date.now() + 10_000);
  await utimes(join(scene.directory, 'a.pem'), later, later);
  await scene.provided({ tls }).takeAll();
  t.is(certificateOf(scene, 'alias'), file.certificate);
});

test('what the configuration names no more goes at the next start', async (t) => {
  const scene = await openScene(t);
  const authority = await issue({ commonName: 'Company CA', isAuthority: true });
  const certificateAuthority = authority.certificate;
  await scene
    .provided({ tls: { ...(await write(scene, await own())), certificateAuthority } })
    .takeAll();
  t.deepEqual([...scene.rows.keys()], ['Company CA', 'server-one-provided']);
  await scene.provided({ tls: { certificateAuthority } }).takeAll();
  t.deepEqual([...scene.rows.keys()], ['Company CA']);
  await scene.provided({}).takeAll();
  t.deepEqual([...scene.rows.keys()], []);
});

test('a file that changes is taken in once it is quiet', async (t) => {
  const scene = await openScene(t);
  const provided = scene.provided({ tls: await write(scene, await own()) });
  await provided.takeAll();
  t.false(await provided.look());
  const next = await own();
  await write(scene, next);
  t.false(await provided.look());
  t.true(await provided.look());
  t.is(certificateOf(scene, 'server-one-provided'), next.certificate);
  t.false(await provided.look());
});

test('a bad file is named once, and what was there goes on', async (t) => {
  const scene = await openScene(t);
  const first = await own();
  const provided = scene.provided({ tls: await write(scene, first) });
  await provided.takeAll();
  const cases: [() => Promise<unknown>, RegExp][] = [
    [() => writeFile(join(scene.directory, 'a.pem'), 'half'), /certificate cannot be read/],
    [async () => write(scene, await own({ toMs: scene.nowMs - 1 })), /has expired on/],
    [
      async () => write(scene, { certificate: first.certificate, key: (await own()).key }),
      /private key does not belong/,
    ],
    [() => rm(join(scene.directory, 'a.key')), /ENOENT/],
  ];
  for (const [damage, reason] of cases) {
    scene.logged.length = 0;
    await damage();
    for (let look = 0; look < 4; look++) t.false(await provided.look());
    t.is(scene.logged.length, 1, String(reason));
    t.regex(scene.logged[0] ?? '', /a\.pem/);
    t.regex(scene.logged[0] ?? '', reason);
    t.is(certificateOf(scene, 'server-one-provided'), first.certificate);
  }
});

test('what a disk does not take is tried again', async (t) => {
  const scene = await openScene(t);
  const provided = scene.provided({ tls: await write(scene, await own()) });
  await provided.takeAll();
  const next = await own();
  await write(scene, next);
  await provided.look();
  scene.broken = true;
  t.false(await provided.look());
  scene.broken = false;
  t.true(await provided.look());
  t.is(certificateOf(scene, 'server-one-provided'), next.certificate);
});

test('a file with a certificate for another name takes the place of the one before', async (t) => {
  const scene = await openScene(t);
  const provided = scene.provided({
    tls: await write(scene, await issue({ commonName: 'before' })),
  });
  await provided.takeAll();
  await write(scene, await issue({ commonName: 'after' }));
  await provided.look();
  t.true(await provided.look());
  t.deepEqual([...scene.rows.keys()], ['after']);
});

test('a certificate that has expired does not keep a node from starting', async (t) => {
  const scene = await openScene(t);
  await scene.provided({ tls: await write(scene, await own({ toMs: scene.nowMs - 1 })) }).takeAll();
  t.deepEqual([...scene.rows.keys()], ['server-one-provided']);
  t.regex(scene.logged.join(), /has expired on/);
});

test('the authorities of clients are in no table', async (t) => {
  const scene = await openScene(t);
  const { certificate } = await issue({ commonName: 'Clients CA', isAuthority: true });
  await writeFile(join(scene.directory, 'clients.pem'), certificate);
  const provided = scene.provided({
    operationsApi: { network: { securePort: 2 } },
    http: { mtls: { certificateAuthority: 'clients.pem' } },
  });
  await provided.takeAll();
  t.deepEqual(provided.clientAuthorities, [certificate]);
  t.is(scene.rows.size, 0);
  const next = await issue({ commonName: 'Clients CA', isAuthority: true });
  await writeFile(join(scene.directory, 'clients.pem'), next.certificate);
  await provided.look();
  t.true(await provided.look());
  t.deepEqual(provided.clientAuthorities, [next.certificate]);
});
