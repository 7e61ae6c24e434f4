/**
 * What streams do with rules, among real actors: what passes, what is refused, what is filled in when a rule changes, and
 * that a link stays open meanwhile. Where the rules come from is not tested here.
 */
import test from 'ava';
import type { ResyncMessage } from '../../actors/messages.js';
import { ALL_ORIGINS, EVERYTHING, NOTHING, type TableScope } from '../../protocol/flow.js';
import { encodeEntry } from '../../protocol/entry.js';
import { nodeName, sequence, tableName, version, type OriginId } from '../../protocol/ids.js';
import { flowNodes, join, type FlowNode } from '../support/flowScene.js';
import { definition, origin } from '../support/stores.js';
import { waitUntil } from '../support/waitUntil.js';

const builtIn = ['cats', 'dogs'].map((name) => definition(name));
const [CATS, DOGS] = [tableName('cats'), tableName('dogs')];
const WITHOUT_DOGS: TableScope = { kind: 'all', except: [DOGS] };
const ONLY_CATS: TableScope = { kind: 'only', tables: [CATS] };
const REFUSED = 'Unauthorized database subscription to data';

const two = (t: Parameters<typeof flowNodes>[0]) =>
  flowNodes(t, 'ab', builtIn) as [FlowNode, FlowNode];
const three = (t: Parameters<typeof flowNodes>[0]) =>
  flowNodes(t, 'abc', builtIn) as [FlowNode, FlowNode, FlowNode];
const connections = (node: FlowNode): number =>
  node.logged.filter((text) => text === 'connected').length;

for (const [who, ruled] of [
  ['the sender', 'a'],
  ['the receiver', 'b'],
] as const)
  test(`a table that ${who} excludes stays out, and is filled in when that ends, over the same link`, async (t) => {
    const [a, b] = two(t);
    const rule = ruled === 'a' ? { b: { sends: WITHOUT_DOGS } } : { a: { receives: WITHOUT_DOGS } };
    const node = ruled === 'a' ? a : b;
    node.ruled({ links: rule });
    await a.put('dogs', 'early');
    await join(a, b);
    await a.write(
      { table: 'cats', type: 'put', records: [{ id: 'x' }] },
      { table: 'dogs', type: 'put', records: [{ id: 'x' }] },
    );
    await b.holds('cats', 'x');
    await b.reaches(a);
    t.is(await b.ids('dogs'), '');
    node.ruled({});
    await b.holds('dogs', 'early x');
    await a.put('dogs', 'y');
    await b.holds('dogs', 'early x y');
    t.is(connections(b), 1);
    t.true((await b.status()).ready);
  });

test('a direction that is closed stops at once and says why, and goes on when it is opened', async (t) => {
  const [a, b] = two(t);
  await join(a, b);
  await a.put('cats', 'x');
  await b.holds('cats', 'x');
  a.ruled({ links: { b: { sends: NOTHING } } });
  await waitUntil('the reason at the sender', async () => {
    const [stream] = (await a.peer(b)).databases;
    return stream?.sendingClosed !== undefined && stream.sending === null;
  });
  await waitUntil('the reason at the receiver', async () => {
    const [stream] = (await b.peer(a)).databases;
    return stream?.receivingClosed === REFUSED;
  });
  await a.put('cats', 'y');
  await b.put('cats', 'of b');
  await a.holds('cats', 'of b x y');
  t.is(await b.ids('cats'), 'of b x');
  a.ruled({});
  await b.holds('cats', 'of b x y');
  const [stream] = (await b.peer(a)).databases;
  t.is(stream?.receivingClosed, undefined);
  t.is(connections(a), 1);
});

test('who may receive nothing is told so and nothing else, and does not ask again at once', async (t) => {
  const [a, b] = two(t);
  a.ruled({ links: { b: { sends: NOTHING } } });
  await a.put('cats', 'x');
  await join(a, b);
  await waitUntil('a refusal', () => b.logged.some((text) => text.endsWith(REFUSED)));
  const refusals = (): number => b.logged.filter((text) => text.endsWith(REFUSED)).length;
  // What b writes passes meanwhile: many turns of both.
  for (let count = 0; count < 20; count++) await b.put('dogs', `n${count}`);
  await a.reaches(b);
  t.true(refusals() <= 3, `${refusals()} refusals`);
  const { peers } = await b.status();
  t.deepEqual(peers, []);
});

test('a node that is not to receive from another takes nothing of it, by whatever way', async (t) => {
  const [a, b, c] = three(t);
  const refusing = { refused: [nodeName('b')], exceptTables: new Map() };
  a.ruled({ links: { b: { receives: NOTHING } }, origins: refusing });
  b.ruled({ links: { a: { sends: NOTHING } } });
  await Promise.all([join(a, b), join(b, c), join(a, c)]);
  await b.put('cats', 'of b');
  await a.put('cats', 'of a');
  await b.holds('cats', 'of a of b');
  await c.holds('cats', 'of a of b');
  await c.put('cats', 'of c');
  await a.holds('cats', 'of a of c');
  t.false((await a.status()).positions.some(({ origin }) => origin.startsWith('b#')));
  const standing = (await a.status()).peers.find(({ peer }) => peer === 'c');
  t.is(standing?.entriesBehind, 0);
  a.ruled({ origins: ALL_ORIGINS });
  b.ruled({});
  await a.holds('cats', 'of a of b of c');
});

test('CX-70: what a relay does not have is taken from the author once that is linked', async (t) => {
  const [r, m, c] = three(t);
  const excluding = { receives: WITHOUT_DOGS };
  m.ruled({ links: { [r.name]: excluding, [c.name]: excluding } });
  await Promise.all([join(r, m), join(m, c)]);
  await r.put('dogs', 'x');
  await r.put('cats', 'x');
  await c.holds('cats', 'x');
  await c.reaches(r);
  t.is(await c.ids('dogs'), '');
  await join(r, c);
  await c.holds('dogs', 'x');
  await m.reaches(c);
  t.is(await m.ids('dogs'), '');
});

test('a rule about one link keeps a table only from that: another node that may sends it', async (t) => {
  const [a, b, c] = three(t);
  a.ruled({ links: { b: { sends: WITHOUT_DOGS } } });
  await join(a, b);
  await a.put('dogs', 'x');
  await b.reaches(a);
  t.is(await b.ids('dogs'), '');
  await Promise.all([join(a, c), join(c, b)]);
  await b.holds('dogs', 'x');
});

test('CX-73: who asks for some tables gets these, hears of no other, and gets another when it asks for it', async (t) => {
  const [a, b] = flowNodes(t, 'ab') as [FlowNode, FlowNode];
  b.ruled({ links: { a: { receives: ONLY_CATS } } });
  for (const name of ['cats', 'dogs']) await a.define(definition(name));
  await a.put('cats', 'x');
  await a.put('dogs', 'x');
  await join(a, b);
  await b.reaches(a);
  await b.holds('cats', 'x');
  await t.throwsAsync(b.ids('dogs'), { code: 'NOT_FOUND' });
  b.ruled({ links: { a: { receives: { kind: 'only', tables: [CATS, DOGS] } } } });
  await waitUntil('the table to be defined', () =>
    b.ids('dogs').then(
      () => true,
      () => false,
    ),
  );
  await b.holds('dogs', 'x');
  t.true((await b.status()).ready);
});

test('two nodes that excluded a table both ways hold the same of it when the rules end', async (t) => {
  const [a, b] = two(t);
  const excluding = (other: string) => ({
    links: { [other]: { sends: WITHOUT_DOGS, receives: WITHOUT_DOGS } },
  });
  a.ruled(excluding('b'));
  b.ruled(excluding('a'));
  await join(a, b);
  await a.put('dogs', 'of a');
  await b.put('dogs', 'of b');
  await a.put('cats', 'of a');
  await b.put('cats', 'of b');
  await Promise.all([a.reaches(b), b.reaches(a)]);
  t.is(await a.ids('dogs'), 'of a');
  t.is(await b.ids('dogs'), 'of b');
  a.ruled({});
  b.ruled({});
  await a.holds('dogs', 'of a of b');
  await b.holds('dogs', 'of a of b');
});

test('SY-10: what is older than the start time does not come, and not with a restart either', async (t) => {
  const [a, b] = two(t);
  await a.put('cats', 'old');
  const old = (await a.status()).clock / 2048;
  b.ruled({ links: { a: { startTimeMs: old } } });
  await waitUntil('another millisecond', () => Date.now() > old + 1);
  await a.put('cats', 'new');
  await join(a, b);
  await b.reaches(a);
  t.is(await b.ids('cats'), 'new');
  await b.stop();
  b.start();
  b.open(a, false);
  await a.put('cats', 'newer');
  await b.holds('cats', 'new newer');
});

test('a copy with a start time brings what is newer, and is not wanted again', async (t) => {
  const [a, b] = two(t);
  const records = Array.from({ length: 1_100 }, (_, id) => ({ id: `o${id}` }));
  for (const record of records) await a.write({ table: 'cats', type: 'put', records: [record] });
  const old = (await a.status()).clock / 2048;
  b.ruled({ links: { a: { startTimeMs: old } } });
  await waitUntil('another millisecond', () => Date.now() > old + 1);
  await a.put('cats', 'new');
  await join(a, b);
  await b.reaches(a);
  await b.holds('cats', 'new');
  t.is((await b.status()).copy?.rowsDone, 1);
  await a.put('cats', 'newer');
  await b.holds('cats', 'new newer');
  await b.stop();
  b.start();
  b.open(a, false);
  await a.put('cats', 'newest');
  await b.holds('cats', 'new newer newest');
});

test('a table that is not taken of one node comes from the others, and of that one when the rule ends', async (t) => {
  const [a, b, c] = three(t);
  const excepting = { refused: [], exceptTables: new Map([[nodeName('c'), [DOGS]]]) };
  a.ruled({ origins: excepting });
  await Promise.all([join(a, b), join(b, c), join(a, c)]);
  await c.put('dogs', 'of c');
  await b.put('dogs', 'of b');
  await c.put('cats', 'of c');
  await Promise.all([a.reaches(b), a.reaches(c)]);
  await a.holds('dogs', 'of b');
  await a.holds('cats', 'of c');
  t.true((await a.status()).ready);
  a.ruled({});
  await a.holds('dogs', 'of b of c');
});

/** Hands the writer an entry as a stream would, and gives what became of it. */
const handed = (node: FlowNode, bytes: Buffer, of: OriginId): Promise<readonly unknown[]> =>
  new Promise((resolve) => {
    const send = (message: ResyncMessage): 'queued' => {
      if (message.type === 'entries.committed') resolve(message.problems);
      return 'queued';
    };
    const from = { path: '/resync', send };
    node.tell({
      type: 'entries.apply',
      from,
      entries: [{ origin: of, bytes }],
      bytes: bytes.length,
    });
  });

test('an entry of a refused node that is sent all the same is dropped, counted, and warned of once', async (t) => {
  const [a] = two(t);
  a.ruled({ origins: { refused: [nodeName('z')], exceptTables: new Map() } });
  const of = origin('z');
  const entry = encodeEntry({ origin: of, sequence: sequence(1), version: version(1), tables: [] });
  const refusal = [{ origin: of, problem: 'unwanted' }];
  t.deepEqual(await handed(a, entry, of), refusal);
  // Rules outlive a crash of the writer.
  await a.crash('/router:data');
  t.deepEqual(await handed(a, entry, of), refusal);
  t.deepEqual(await handed(a, entry, of), refusal);
  t.is(a.counted('/router:data', 'entriesOfRefusedOrigins'), 3);
  const warnings = a.logged.filter((text) => text.startsWith('an entry came of a node of which'));
  t.is(warnings.length, 2, 'once in each life');
  a.ruled({});
  t.deepEqual(await handed(a, entry, of), []);
});

test('rules outlive a crash of those who hold the links', async (t) => {
  const [a, b] = two(t);
  a.ruled({ links: { b: { sends: NOTHING } } });
  await a.put('cats', 'x');
  await a.crash('/peers');
  await join(a, b);
  await waitUntil('a refusal', () => b.logged.some((text) => text.endsWith(REFUSED)));
  t.is(await b.ids('cats'), '');
});

test('without rules nothing is owed and no entry is partial', async (t) => {
  const [a, b] = two(t);
  a.ruled({ links: { b: { sends: EVERYTHING } } });
  await join(a, b);
  await a.put('dogs', 'x');
  await b.holds('dogs', 'x');
  t.is(b.counted('resync:data', 'entriesCut'), 0);
});
