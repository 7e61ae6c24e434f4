/** What operators state of the flow between two nodes, and what both ends let pass then. */
import test from 'ava';
import type { RouteInput } from '../../config/types.js';
import { SkeinError } from '../../protocol/errors.js';
import { databaseName, nodeName, tableName } from '../../protocol/ids.js';
import { A, B, endsOf, linkOf, memberWith, routeOf, rowsOf, rulesOf } from '../support/flowEnds.js';

const DATA = databaseName('data');
const CONFIG = databaseName('config');

interface Case {
  /** As add_node says it, and a route with the same keys. */
  readonly said: RouteInput;
  readonly direction?: 'peer' | 'local';
  /** What `a` sends and receives of `data`, and of `config`. */
  readonly data: string;
  readonly config?: string;
  /** Whether `a` refuses what `b` wrote in `data`. */
  readonly refuses?: boolean;
}

const CASES: readonly Case[] = [
  { said: {}, data: 'all > all' },
  { said: { replicates: true }, data: 'all > all' },
  { said: { replicates: { sends: false, receives: true } }, data: 'all > nothing', refuses: true },
  { said: { replicates: { sends: true, receives: false } }, data: 'nothing > all' },
  {
    said: { replicates: { sends: true, receives: false } },
    direction: 'local',
    data: 'all > nothing',
    refuses: true,
  },
  {
    said: { replicates: { sends: false, receives: true } },
    direction: 'local',
    data: 'nothing > all',
  },
  { said: { replicates: { sends: true, receives: true } }, data: 'all > all' },
  { said: { replicates: { sends: true } }, data: 'nothing > all' },
  {
    said: { replicates: { sends: false, receives: false } },
    data: 'nothing > nothing',
    refuses: true,
  },
  { said: { replicates: {} }, data: 'nothing > nothing', refuses: true },
  { said: { sendsTo: ['b'], receivesFrom: [] }, data: 'all > nothing', refuses: true },
  { said: { sendsTo: ['b'] }, data: 'all > nothing', refuses: true },
  { said: { receivesFrom: ['B'] }, direction: 'local', data: 'nothing > all' },
  {
    said: { sendsTo: [{ database: 'data' }], receivesFrom: [{ source: 'b', database: 'config' }] },
    data: 'all > nothing',
    config: 'nothing > all',
    refuses: true,
  },
  {
    said: {
      replicates: {
        sendsTo: [{ target: 'b', database: 'data', excludeTables: ['t'] }],
        receivesFrom: [{ excludeTables: ['u', 't'] }],
      },
    },
    data: 'all but t > all but t u',
    config: 'nothing > all but t u',
  },
  {
    said: { replicates: true, sendsTo: ['b', { database: 'data', excludeTables: ['t'] }] },
    data: 'all but t > all',
    config: 'all > all',
  },
  {
    said: { replicates: { sends: false, receives: true, sendsTo: [{ database: 'config' }] } },
    data: 'nothing > nothing',
    config: 'all > nothing',
    refuses: true,
  },
  {
    said: {
      subscriptions: [
        { table: 't', publish: true },
        { database: 'data', table: 'u', publish: true, subscribe: true },
        { database: 'config', table: 'v', subscribe: true },
      ],
    },
    data: 'only t u > only u',
    config: 'nothing > only v',
  },
  {
    said: { subscriptions: [{ table: 't', publish: true, subscribe: false }] },
    data: 'only t > nothing',
    refuses: true,
  },
  { said: { subscriptions: [{ table: 't' }] }, data: 'nothing > nothing', refuses: true },
  { said: { subscriptions: [] }, data: 'all > all' },
];

const swap = (link: string): string => link.split(' > ').reverse().join(' > ');

for (const { said, direction = 'peer', data, config = data, refuses = false } of CASES) {
  const title = `${JSON.stringify(said)}${direction === 'local' ? ', of this node,' : ''}`;
  const configLink =
    JSON.stringify(said).includes('subscriptions":[{') && config === data
      ? 'nothing > nothing'
      : config;

  test(`${title} lets pass ${data} at both ends, whoever stated it`, (t) => {
    const { a, b } = endsOf(said, direction);
    t.is(linkOf(a, B), data);
    t.is(linkOf(b, A), swap(data));
    t.is(linkOf(a, B, 'config'), configLink);
    t.is(linkOf(b, A, 'config'), swap(configLink));
    t.deepEqual(a.origins(DATA).refused, refuses ? [B] : []);
  });

  test(`a route that says ${title} lets pass the same`, (t) => {
    const route = routeOf({ host: 'b', ...said }, direction);
    const a = rulesOf(memberWith({ own: A, routes: [route], gossips: true }));
    t.is(linkOf(a, B), data);
    t.is(linkOf(a, B, 'config'), configLink);
    t.deepEqual(a.origins(DATA).refused, refuses ? [B] : []);
  });
}

test('who sends nothing is refused by the one that takes nothing, not by the one that sends', (t) => {
  const { a, b } = endsOf({ replicates: { sends: false, receives: true } });
  t.deepEqual(a.origins(DATA).refused, [B]);
  t.deepEqual(b.origins(DATA), { refused: [], exceptTables: new Map() });
});

test('tables that are not taken from a node are taken from nobody in its name', (t) => {
  const { a, b } = endsOf({
    sendsTo: ['b'],
    receivesFrom: [{ database: 'data', excludeTables: ['t'] }, { database: 'config' }],
  });
  t.deepEqual(a.origins(DATA), {
    refused: [],
    exceptTables: new Map([[B, [tableName('t')]]]),
  });
  t.deepEqual(a.origins(CONFIG), { refused: [], exceptTables: new Map() });
  t.deepEqual(b.origins(DATA).refused, []);
});

test('excluded tables of a route pass neither way, whatever else is said', (t) => {
  const link = (route: RouteInput): string =>
    linkOf(rulesOf(memberWith({ own: A, routes: [routeOf({ host: 'b', ...route })] })), B);
  t.is(link({ excludeTables: ['t'] }), 'all but t > all but t');
  t.is(
    link({ excludeTables: ['t'], replicates: { sends: false, receives: true } }),
    'all but t > nothing',
  );
  t.is(
    link({ excludeTables: ['t'], sendsTo: [{ excludeTables: ['u'] }] }),
    'all but t u > nothing',
  );
  t.is(link({ excludeTables: [] }), 'all > all');
});

test('a start time is about all databases but system', (t) => {
  const { a, b } = endsOf({ start_time: '2024-01-01T00:00:00Z' });
  const startTimeMs = Date.UTC(2024, 0, 1);
  t.is(a.link(B, DATA).startTimeMs, startTimeMs);
  t.is(a.link(B, databaseName('system')).startTimeMs, null);
  t.is(b.link(A, DATA).startTimeMs, null);
  t.is(linkOf(a, B), 'all > all');
  const routed = memberWith({
    own: A,
    routes: [routeOf({ host: 'b', startTime: '2024-01-01T00:00:00Z' })],
    gossips: true,
  });
  t.is(rulesOf(routed).link(B, DATA).startTimeMs, startTimeMs);
});

test('of a database that does not take part, the tables that do pass both ways and nothing else', (t) => {
  const data = {
    databases: new Set([CONFIG]),
    shared: new Map([[DATA, [tableName('u'), tableName('t')]]]),
  };
  const open = rulesOf(memberWith({ own: A, data, gossips: true }));
  t.is(linkOf(open, B), 'only t u > only t u');
  t.is(linkOf(open, B, 'config'), 'all > all');
  t.is(linkOf(open, B, 'other'), 'nothing > nothing');
  const route = routeOf({ host: 'b', receivesFrom: [{ excludeTables: ['t'] }] });
  t.is(linkOf(rulesOf(memberWith({ own: A, data, routes: [route] })), B), 'nothing > only u');
});

test('a route with directions counts before the row, a plain one leaves it to the row', (t) => {
  const rows = [rowsOf({ replicates: { sends: true, receives: false } }).atA];
  const link = (route: RouteInput): string =>
    linkOf(rulesOf(memberWith({ own: A, rows, routes: [routeOf(route)], gossips: true })), B);
  t.is(link({ host: 'b' }), 'nothing > all');
  t.is(link({ host: 'b', replicates: true }), 'nothing > all');
  t.is(link({ host: 'b', replicates: { sends: false, receives: true } }), 'all > nothing');
  t.is(link({ host: 'b', replicates: false }), 'nothing > nothing');
});

test('rows keep what was said in the words of the node they are of', (t) => {
  const { atA, atB } = rowsOf({ replicates: { sends: false, receives: true } });
  t.like(atA, { name: 'b', replicates: { sends: false, receives: true } });
  t.like(atB, { name: 'a', replicates: { sends: true, receives: false } });
  const lists = rowsOf({ sendsTo: [{ database: 'data', excludeTables: ['t'] }], receivesFrom: [] });
  t.deepEqual(lists.atA['replicates'], {
    sends: false,
    receives: true,
    sendsTo: [],
    receivesFrom: [{ source: 'a', database: 'data', excludeTables: ['t'] }],
  });
  t.deepEqual(lists.atB['replicates'], {
    sends: true,
    receives: false,
    sendsTo: [{ target: 'b', database: 'data', excludeTables: ['t'] }],
    receivesFrom: [],
  });
  const subscription = { database: 'data', table: 't', publish: true, subscribe: false };
  const single = rowsOf({ subscriptions: [subscription] });
  t.like(single.atA, { replicates: false, subscriptions: [subscription] });
  t.like(single.atB, {
    replicates: false,
    subscriptions: [{ ...subscription, publish: false, subscribe: true }],
  });
});

test('what lifts explicit subscriptions takes their list away at both ends', (t) => {
  const known = rowsOf({ subscriptions: [{ table: 't', publish: true }] }).atA;
  for (const said of [{ replicates: true }, { subscriptions: [] }]) {
    const { atA, atB } = rowsOf(said, 'peer', known);
    t.like(atA, { replicates: true, subscriptions: null });
    t.like(atB, { replicates: true });
  }
});

test('what is not said stays as it was stated, and is told again', (t) => {
  for (const body of [
    { replicates: { sends: false, receives: true } },
    { sendsTo: [{ target: 'b', database: 'data' }], receivesFrom: [] },
    { subscriptions: [{ database: 'data', table: 't', publish: true, subscribe: false }] },
  ]) {
    const first = rowsOf(body);
    t.deepEqual(rowsOf({ shard: 1 }, 'peer', first.atA), first);
  }
});

const REFUSED: readonly (readonly [object, RegExp])[] = [
  [{ sendsTo: ['c'] }, /^'sendsTo\[0\]\.target' must be 'b', the node it is said of$/],
  [{ replicates: { receivesFrom: [{ source: 'c' }] } }, /^'replicates\.receivesFrom\[0\]\.source'/],
  [{ sendsTo: ['two words'] }, /^'sendsTo\[0\]\.target' must be the name of a node$/],
  [{ sendsTo: [], replicates: { sendsTo: [] } }, /^'sendsTo' must not be given twice/],
  [
    { subscriptions: [{ table: 't' }], replicates: true },
    /^'subscriptions' must not be given together with directions$/,
  ],
  [{ subscriptions: [{ table: 't' }], sendsTo: [] }, /^'subscriptions' must not be given together/],
  [{ replicates: { sendz: true } }, /'replicates\.sendz' is not allowed/],
  [{ replicates: { sends: 'yes' } }, /'replicates\.sends' must be a boolean/],
  [{ sendsTo: 'b' }, /'sendsTo' must be an array/],
  [{ sendsTo: [{ database: 7 }] }, /'sendsTo\[0\]\.database' must be a string/],
  [{ subscriptions: [{ database: 'data' }] }, /'subscriptions\[0\]\.table' is required/],
  [{ start_time: 'yesterday' }, /^start_time must be an ISO 8601 UTC timestamp .*"yesterday"$/],
  [{ start_time: '2024-01-01T00:00:00' }, /^start_time must be an ISO 8601/],
];

for (const [body, message] of REFUSED)
  test(`add_node with ${JSON.stringify(body)} is refused by name`, (t) => {
    const error = t.throws(() => rowsOf(body), { instanceOf: SkeinError });
    t.is(error?.code, 'INVALID_REQUEST');
    t.regex(error?.message ?? '', message);
  });

test('a rule about a node that is not known closes nothing', (t) => {
  t.is(linkOf(rulesOf(memberWith({ own: A })), nodeName('c')), 'all > all');
});
