/** Which links the rules of flow let be, what a node says of itself, and what stays of rows that cannot be read. */
import test from 'ava';
import { nodeName, type NodeName } from '../../protocol/ids.js';
import {
  stepMembership,
  type MembershipEffect,
  type MembershipEvent,
  type MembershipState,
} from '../../protocol/membership.js';
import { rulesIn } from '../../protocol/rowRules.js';
import {
  A,
  B,
  linkOf,
  memberWith,
  routeOf,
  rowsOf,
  rulesOf,
  tablesWith,
} from '../support/flowEnds.js';

const [C, M, R] = [nodeName('c'), nodeName('m'), nodeName('r')];

const ONLY_RECEIVES = { replicates: { sends: false, receives: true } };
const ONLY_SENDS = { replicates: { sends: true, receives: false } };

/** R -> M -> C, each with routes to its neighbours only, and `system` is replicated. */
const CHAIN = new Map([
  [R, [routeOf({ host: 'm', ...ONLY_RECEIVES })]],
  [M, [routeOf({ host: 'r', ...ONLY_SENDS }), routeOf({ host: 'c', ...ONLY_RECEIVES })]],
  [C, [routeOf({ host: 'm', ...ONLY_SENDS })]],
]);

const opened = (state: MembershipState): string[] => [...state.open.keys()].sort();

const step = (
  state: MembershipState,
  event: MembershipEvent,
): { state: MembershipState; effects: MembershipEffect[] } => {
  const [next, effects] = stepMembership(state, event);
  return { state: next, effects };
};

const ownRowOf = (effects: readonly MembershipEffect[]): unknown => {
  const written = effects.find(({ type }) => type === 'writeOwn');
  return written?.type === 'writeOwn' ? written.replicates : undefined;
};

const chained = (own: NodeName, rows: readonly Record<string, unknown>[] = []): MembershipState =>
  memberWith({ own, rows, routes: CHAIN.get(own) ?? [], gossips: true, lives: ['r', 'm', 'c'] });

/** What that node of the chain writes into its own row. */
const advertOf = (own: NodeName): Record<string, unknown> => {
  const { effects } = step(chained(own), {
    type: 'tablesRead',
    tables: tablesWith({ own, names: ['r', 'm', 'c'], rows: [] }),
  });
  return { name: own, url: `ws://${own}`, replicates: ownRowOf(effects) };
};

test('a node with directed routes says of itself whom it sends to and receives from', (t) => {
  t.deepEqual(advertOf(M)['replicates'], {
    sendsTo: [{ target: 'c' }],
    receivesFrom: [{ source: 'r' }],
  });
  t.deepEqual(advertOf(C)['replicates'], { sendsTo: [], receivesFrom: [{ source: 'm' }] });
});

test('what is said of itself is not written again, whatever the order of its keys', (t) => {
  const rows = [
    {
      name: M,
      url: 'ws://m',
      replicates: { receivesFrom: [{ source: 'r' }], sendsTo: [{ target: 'c' }] },
    },
  ];
  const { effects } = step(chained(M, rows), {
    type: 'tablesRead',
    tables: tablesWith({ own: M, names: ['r', 'm', 'c'], rows }),
  });
  t.deepEqual(
    effects.filter(({ type }) => type === 'writeOwn'),
    [],
  );
});

for (const [own, links] of [
  [R, 'm'],
  [M, 'c r'],
  [C, 'm'],
] as const) {
  test(`FL-07 in a chain ${own} links with its neighbours only, whatever it hears and reads`, (t) => {
    const rows = [R, M, C].map(advertOf);
    const members = [R, M, C].map((name) => ({
      name,
      generation: 1,
      ended: false,
      url: `ws://${name}`,
    }));
    for (const before of [chained(own), chained(own, rows)]) {
      t.is(opened(before).join(' '), links);
      const heard = step(before, { type: 'heard', members });
      t.is(opened(heard.state).join(' '), links);
      const plain = [R, M, C].map((name) => ({ name, url: `ws://${name}`, replicates: true }));
      const tables = tablesWith({ own, names: ['r', 'm', 'c'], rows: plain });
      t.is(opened(step(heard.state, { type: 'tablesRead', tables }).state).join(' '), links);
    }
  });
}

test('FL-07 what R wrote reaches C through M: C has no rule about R', (t) => {
  const c = rulesOf(chained(C, [R, M, C].map(advertOf)));
  t.is(linkOf(c, R), 'nothing > nothing');
  t.deepEqual(c.origins('data' as never), { refused: [], exceptTables: new Map() });
});

test('a chain that was made by add_node links no further', (t) => {
  const edge = rowsOf(ONLY_RECEIVES);
  const leaf = memberWith({
    own: C,
    rows: [
      { ...edge.atB, name: M, url: 'ws://m' },
      { name: R, url: 'ws://r', ...ONLY_SENDS },
      { name: 'x', url: 'ws://x', replicates: true },
    ],
    partners: ['m'],
    gossips: true,
  });
  t.deepEqual(opened(leaf), ['m']);
  const source = memberWith({
    own: R,
    rows: [{ ...edge.atA, name: M, url: 'ws://m' }],
    lives: ['m', 'c'],
    partners: ['m'],
    gossips: true,
  });
  t.deepEqual(opened(source), ['m']);
});

test('a member of a mesh that adds a one-way node stays linked with all of the mesh', (t) => {
  const leaf = { name: 'leaf', url: 'ws://leaf', ...ONLY_RECEIVES };
  const plain = (name: string) => ({ name, url: `ws://${name}`, replicates: true });
  const rows = [plain('b'), plain('c'), leaf];
  const adder = memberWith({ own: A, rows, partners: ['b', 'leaf'], gossips: true });
  t.deepEqual(opened(adder), ['b', 'c', 'leaf']);
  const other = memberWith({
    own: B,
    rows: [plain('a'), plain('c'), leaf],
    partners: ['a'],
    gossips: true,
  });
  t.deepEqual(opened(other), ['a', 'c']);
});

test('without system replicated every row is a rule of this node, and nobody is only heard of', (t) => {
  const rows = [{ name: B, url: 'ws://b', ...ONLY_RECEIVES }];
  const state = memberWith({ own: A, rows });
  t.is(linkOf(rulesOf(state), B), 'all > nothing');
  const members = [{ name: C, generation: 1, ended: false, url: 'ws://c' }];
  t.deepEqual(opened(step(state, { type: 'heard', members }).state), ['b']);
});

test('what another node says of its links counts for a node that only heard of it', (t) => {
  const advert = { sendsTo: [{ target: 'a', database: 'data' }], receivesFrom: [] };
  const rows = [{ name: B, url: 'ws://b', replicates: advert }];
  const state = memberWith({ own: A, rows, gossips: true });
  t.is(linkOf(rulesOf(state), B), 'nothing > all');
  t.is(linkOf(rulesOf(state), B, 'config'), 'nothing > nothing');
  t.deepEqual(opened(state), ['b']);
  t.deepEqual(rulesOf(state).origins('config' as never).refused, []);
  t.deepEqual(opened(memberWith({ own: C, rows, gossips: true })), []);
});

test('a link of which no database takes part is not opened', (t) => {
  const rows = [
    { name: B, url: 'ws://b', replicates: { sendsTo: [{ target: 'a', database: 'config' }] } },
  ];
  const only = { databases: new Set(['data' as never]), shared: new Map() };
  const state = memberWith({ own: A, rows, gossips: true, data: only });
  t.deepEqual(opened(state), []);
  const shared = new Map([['config' as never, ['t' as never]]]);
  const { state: next } = step(state, { type: 'dataChanged', data: { ...only, shared } });
  t.deepEqual(opened(next), ['b']);
  t.is(linkOf(rulesOf(next), B, 'config'), 'nothing > only t');
});

test('addresses of nodes with directions are not passed on to who has not read their rules', (t) => {
  const rows = [
    { name: B, url: 'ws://b', replicates: true },
    { name: C, url: 'ws://c', ...ONLY_RECEIVES },
  ];
  const told = step(memberWith({ own: A, rows, gossips: true, partners: ['b', 'c'] }), {
    type: 'peersRestarted',
  }).effects.find(({ type }) => type === 'tellPeers');
  t.true(told?.type === 'tellPeers');
  const urls = told?.type === 'tellPeers' ? told.members.map(({ name, url }) => [name, url]) : [];
  t.deepEqual(new Map(urls as [string, string | null][]).get('b'), 'ws://b');
  t.is(new Map(urls as [string, string | null][]).get('c'), null);
});

test('routes that change while the node runs change its links and what it says of itself', (t) => {
  const rows = [B, C].map((name) => ({ name, url: `ws://${name}`, replicates: true }));
  const state = memberWith({ own: A, rows, gossips: true });
  t.deepEqual(opened(state), ['b', 'c']);
  const routes = [routeOf({ host: 'b', ...ONLY_RECEIVES })];
  const directed = step(state, { type: 'routesChanged', routes });
  t.deepEqual(ownRowOf(directed.effects), { sendsTo: [{ target: 'b' }], receivesFrom: [] });
  t.deepEqual(opened(directed.state), ['b']);
  const closed = directed.effects.find(({ type }) => type === 'closePeer');
  t.like(closed, { name: C, reason: 'nothing passes between this node and c' });
  const said = [...rows, { name: A, url: 'ws://a', replicates: ownRowOf(directed.effects) }];
  const read = step(directed.state, {
    type: 'tablesRead',
    tables: tablesWith({ own: A, names: ['a', 'b', 'c'], rows: said }),
  });
  const free = step(read.state, { type: 'routesChanged', routes: [] });
  t.is(ownRowOf(free.effects), true);
  t.deepEqual(opened(free.state), ['b', 'c']);
});

test('what others have stated of this node stays in its own row', (t) => {
  const rows = [{ name: A, url: 'ws://a', ...ONLY_RECEIVES }];
  const state = memberWith({
    own: A,
    rows,
    gossips: true,
    routes: [routeOf({ host: 'b', ...ONLY_SENDS })],
  });
  const { effects } = step(state, {
    type: 'tablesRead',
    tables: tablesWith({ own: A, names: ['a'], rows }),
  });
  t.is(ownRowOf(effects), undefined);
});

test('a node of which single tables are subscribed takes part itself', (t) => {
  const subscriptions = [{ database: 'data', table: 't', publish: true, subscribe: false }];
  const rows = [
    { name: A, url: 'ws://a', replicates: false, subscriptions },
    { name: B, url: 'ws://b', replicates: true },
  ];
  t.deepEqual(opened(memberWith({ own: A, rows, gossips: true })), ['b']);
  const apart = rows.map((row) => ({ ...row, subscriptions: null }));
  t.deepEqual(opened(memberWith({ own: A, rows: apart, gossips: true })), []);
});

const DAMAGED: readonly (readonly [string, Record<string, unknown> | null])[] = [
  ['no text', { name: B, url: 7, replicates: true }],
  ['nonsense for directions', { name: B, url: 'ws://b', replicates: 'sends' }],
  ['an unknown direction', { name: B, url: 'ws://b', replicates: { sendz: true } }],
  ['a list that is none', { name: B, url: 'ws://b', replicates: { sendsTo: 'a' } }],
  ['a name that is none', { name: B, url: 'ws://b', replicates: { sendsTo: [{ target: 'A b' }] } }],
  ['subscriptions without a table', { name: B, replicates: false, subscriptions: [{}] }],
  ['a start time that is none', { name: B, url: 'ws://b', start_time: 'yesterday' }],
  ['nothing', null],
  ['null for everything', { name: B, url: null, replicates: null, subscriptions: null }],
  ['silent on directions', { name: B, url: 'ws://b' }],
];

for (const [what, damaged] of DAMAGED)
  test(`a row that has become ${what} keeps the rules that were last read, also over a restart`, (t) => {
    const rows = [rowsOf(ONLY_RECEIVES).atA];
    const before = memberWith({ own: A, rows, partners: ['b'], gossips: true });
    const rules = new Map([[B, rulesIn(rows[0] ?? {})]]);
    const tables = {
      ...tablesWith({ own: A, names: ['a', 'b'], rows: damaged ? [damaged] : [] }),
      notes: { partners: [B], rules },
    };
    const restarted = memberWith({ own: A, lives: ['b'], partners: ['b'], gossips: true });
    for (const state of [before, { ...restarted, rows: new Map() }]) {
      const next = step(state, { type: 'tablesRead', tables });
      t.is(linkOf(rulesOf(next.state), B), 'all > nothing');
      t.deepEqual(rulesOf(next.state).origins('data' as never).refused, [B]);
      t.deepEqual(opened(next.state), ['b']);
      t.deepEqual(
        next.effects.filter(({ type }) => type === 'keepNotes'),
        [],
      );
    }
  });

test('notes of rules are kept as rows are read, and go with the life of the node or its rules', (t) => {
  const rows = [rowsOf(ONLY_RECEIVES).atA];
  const names = ['a', 'b'];
  const state = memberWith({ own: A, rows, partners: ['b'], gossips: true });
  const noted = (tables: Parameters<typeof tablesWith>[0], ended = false) => {
    const read = tablesWith(tables);
    const generations = read.generations.map((life) =>
      life['name'] === 'b' && ended ? { ...life, ended } : life,
    );
    const notes = { partners: [B], rules: new Map([[B, rulesIn(rows[0] ?? {})]]) };
    const { effects } = step(state, {
      type: 'tablesRead',
      tables: { ...read, generations, notes },
    });
    return effects.find(({ type }) => type === 'keepNotes');
  };
  t.is(noted({ own: A, names, rows }), undefined);
  t.like(noted({ own: A, names, rows: [{ name: B, url: 'ws://b', replicates: true }] }), {
    notes: { partners: [B], rules: new Map() },
  });
  t.like(noted({ own: A, names, rows: [] }, true), { notes: { partners: [], rules: new Map() } });
  const { effects } = step(state, {
    type: 'tablesRead',
    tables: tablesWith({ own: A, names, rows }),
  });
  t.like(
    effects.find(({ type }) => type === 'keepNotes'),
    {
      notes: { rules: new Map([[B, rulesIn(rows[0] ?? {})]]) },
    },
  );
});
