/**
 * Routes set and deleted in the text of a configuration file: whole texts are compared, since every character that is
 * not a route has to stay.
 */
import test from 'ava';
import {
  deleteRoutes,
  setRoutes,
  type RouteEntry,
  type RoutesChanged,
} from '../../config/routesDocument.js';
import { SkeinError } from '../../protocol/errors.js';

const DEFAULTS = { scheme: 'ws', port: 9933 } as const;

type Case = readonly [title: string, before: string, entries: readonly RouteEntry[], after: string];

const lines = (...given: readonly string[]): string => `${given.join('\n')}\n`;

const sets: readonly Case[] = [
  [
    'a route comes to the end of a block list, which keeps its indentation and comments',
    lines(
      '# top',
      'replication:',
      '    port:   9933 # p',
      '    routes:   # r',
      "    -   'a'   # one",
      '    # between',
      '    - host: b',
      '      port: 5 # p',
      '',
      '# end',
      'logging: {level:   "info"}   ',
    ),
    ['c'],
    lines(
      '# top',
      'replication:',
      '    port:   9933 # p',
      '    routes:   # r',
      "    -   'a'   # one",
      '    # between',
      '    - host: b',
      '      port: 5 # p',
      '    - c',
      '',
      '# end',
      'logging: {level:   "info"}   ',
    ),
  ],
  [
    'a route that is an object is written as lines in a block list',
    lines('replication:', '  routes:', '    - a', 'debug:', '  port: 1'),
    [{ hostname: 'c', port: 9940, startTime: '2026-01-31' }, '::1', 'ws://d:9933'],
    lines(
      'replication:',
      '  routes:',
      '    - a',
      '    - hostname: c',
      '      port: 9940',
      '      startTime: 2026-01-31',
      '    - ::1',
      '    - ws://d:9933',
      'debug:',
      '  port: 1',
    ),
  ],
  [
    'a list that is not indented stays so',
    lines('replication:', '  routes:', '  - a', '  port: 9933'),
    ['b', { host: 'c', url: 'ws://c:1' }],
    lines(
      'replication:',
      '  routes:',
      '  - a',
      '  - b',
      '  - host: c',
      '    url: ws://c:1',
      '  port: 9933',
    ),
  ],
  [
    'a route comes into a list in brackets',
    lines('replication: {port: 9933, routes: [a,b], shard: 1} # c'),
    ['c', { host: 'd', port: 5 }],
    lines('replication: {port: 9933, routes: [a,b, c, {host: d, port: 5}], shard: 1} # c'),
  ],
  [
    'a route comes into empty brackets',
    lines('replication:', '  routes: [ ]  # none yet', '  port: 9933'),
    ['c'],
    lines('replication:', '  routes: [c ]  # none yet', '  port: 9933'),
  ],
  [
    'brackets over many lines keep their commas and comments',
    lines('replication:', '  routes: [', '    a, # one', "    'b', # two", '  ]'),
    ['c'],
    lines('replication:', '  routes: [', '    a, # one', "    'b', c, # two", '  ]'),
  ],
  [
    'JSON stays JSON',
    '{"replication": {"port": 9933, "routes": ["a"]}, "logging": {"level": "info"}}',
    ['c', { host: 'd' }],
    '{"replication": {"port": 9933, "routes": ["a", "c",{"host":"d"}]}, "logging": {"level": "info"}}',
  ],
  [
    'JSON without routes stays JSON',
    '{\r\n  "replication": {\r\n    "port": 9933\r\n  }\r\n}\r\n',
    ['c'],
    '{\r\n  "replication": {\r\n    "port": 9933, "routes":["c"]\r\n  }\r\n}\r\n',
  ],
  ['empty braces get the section', '{}', ['c'], '{replication: {routes: [c]}}'],
  [
    'a section without routes gets them below its last key',
    lines('replication:', '    port: 9933 # p', '', '# logs', 'logging:', '    level: info'),
    [{ host: 'c', port: 1 }],
    lines(
      'replication:',
      '    port: 9933 # p',
      '    routes:',
      '        - host: c',
      '          port: 1',
      '',
      '# logs',
      'logging:',
      '    level: info',
    ),
  ],
  [
    'a section in braces without routes gets them inside',
    lines('replication: { port: 9933 }'),
    ['c'],
    lines('replication: { port: 9933, routes: [c] }'),
  ],
  [
    'an empty section in braces gets routes',
    lines('replication: {}'),
    ['c'],
    lines('replication: {routes: [c]}'),
  ],
  [
    'a section whose last key has no value gets routes below it',
    lines('replication:', '  port: # none', 'logging:', '  level: info'),
    ['c'],
    lines('replication:', '  port: # none', '  routes:', '    - c', 'logging:', '  level: info'),
  ],
  [
    'a section whose last value is a text of many lines gets routes below it',
    lines('replication:', '  url: >-', '    ws://', '', 'logging:', '  level: info'),
    ['c'],
    lines(
      'replication:',
      '  url: >-',
      '    ws://',
      '  routes:',
      '    - c',
      '',
      'logging:',
      '  level: info',
    ),
  ],
  [
    'an empty section gets routes',
    lines('# top', 'replication: # all', '  # hostname: x', 'logging:', '   level: info'),
    ['c'],
    lines(
      '# top',
      'replication: # all',
      '   routes:',
      '      - c',
      '  # hostname: x',
      'logging:',
      '   level: info',
    ),
  ],
  [
    'a key without a value gets a list',
    lines('replication:', '  routes: # later', '  port: 9933'),
    ['c'],
    lines('replication:', '  routes: # later', '    - c', '  port: 9933'),
  ],
  [
    'a key with null gets a list',
    lines('replication:', '  routes: null # later', '  port: ~'),
    ['c'],
    lines('replication:', '  routes: # later', '    - c', '  port: ~'),
  ],
  [
    'a key with null within braces gets a list',
    lines('replication: {routes: ~, port: 9933}'),
    ['c'],
    lines('replication: {routes: [c], port: 9933}'),
  ],
  [
    'a key without a value within braces gets a list',
    lines('replication: {routes: , port: 9933}'),
    ['c'],
    lines('replication: {routes: [c] , port: 9933}'),
  ],
  [
    'a key without a colon within braces gets a list',
    lines('replication: {routes, port: 9933}'),
    ['c'],
    lines('replication: {routes: [c], port: 9933}'),
  ],
  [
    'a file without the section gets it below its last key, and its lines stay CRLF',
    '# top\r\nlogging:\r\n    level: info # l\r\n\r\n# end\r\n',
    ['c'],
    '# top\r\nlogging:\r\n    level: info # l\r\nreplication:\r\n    routes:\r\n        - c\r\n\r\n# end\r\n',
  ],
  [
    'a last line without a newline stays without one',
    'replication:\n  routes:\n    - a # one',
    ['c'],
    'replication:\n  routes:\n    - a # one\n    - c',
  ],
  [
    'CRLF stays in a list whose last line has no newline',
    'replication:\r\n  routes:\r\n    - a',
    [{ host: 'c', port: 1 }],
    'replication:\r\n  routes:\r\n    - a\r\n    - host: c\r\n      port: 1',
  ],
  ['an empty file gets the section', '', ['c'], lines('replication:', '  routes:', '    - c')],
  [
    'a file of comments gets the section at its end',
    '# nothing yet',
    ['c'],
    '# nothing yet\nreplication:\n  routes:\n    - c',
  ],
  [
    'a file that begins with --- gets the section',
    lines('---', '# nothing yet'),
    ['c'],
    lines('---', '# nothing yet', 'replication:', '  routes:', '    - c'),
  ],
  [
    'a document with an end gets the section before it',
    lines('logging:', '  level: info', '...', '# c'),
    ['c'],
    lines('logging:', '  level: info', 'replication:', '  routes:', '    - c', '...', '# c'),
  ],
  [
    'a byte order mark stays',
    '\ufeffreplication:\n  routes:\n    - a\n',
    ['c'],
    '\ufeffreplication:\n  routes:\n    - a\n    - c\n',
  ],
  [
    'a byte order mark before the section is no indentation',
    '\ufefflogging:\n  level: info\n',
    ['c'],
    '\ufefflogging:\n  level: info\nreplication:\n  routes:\n    - c\n',
  ],
  [
    'a list with anchors and an alias keeps them',
    lines('node: {hostname: &own a}', 'replication:', '  hostname: *own', '  routes: &r', '  - b'),
    ['c'],
    lines(
      'node: {hostname: &own a}',
      'replication:',
      '  hostname: *own',
      '  routes: &r',
      '  - b',
      '  - c',
    ),
  ],
  [
    'a route after one without a value',
    lines('replication:', '  routes:', '    - a', '    - # none'),
    ['c'],
    lines('replication:', '  routes:', '    - a', '    - # none', '    - c'),
  ],
  [
    'a name that looks like a number is written as text',
    lines('replication:', '  routes:', '    - a'),
    [{ host: '1234', url: 'ws://d' }],
    lines('replication:', '  routes:', '    - a', '    - host: "1234"', '      url: ws://d'),
  ],
];

for (const [title, before, entries, after] of sets) {
  test(`set: ${title}`, (t) => {
    const changed = setRoutes(before, entries, DEFAULTS);
    t.is(changed.text, after);
    t.deepEqual([changed.set, changed.skipped], [entries, []]);
    t.deepEqual(changed.routes.slice(-entries.length), entries);
    t.deepEqual(setRoutes(after, entries, DEFAULTS), {
      text: after,
      routes: changed.routes,
      set: [],
      skipped: entries,
    });
  });
}

const replacements: readonly Case[] = [
  [
    'a node with another URL is replaced where it stands',
    lines('replication:', '  routes:', '    - a # one', '    - b:9940 # two', '    - c'),
    ['b:9941', { host: 'A', port: 5 }],
    lines(
      'replication:',
      '  routes:',
      '    - host: A',
      '      port: 5 # one',
      '    - b:9941 # two',
      '    - c',
    ),
  ],
  [
    'comments within a route that is replaced move above it',
    lines(
      'replication:',
      '  routes:',
      '    # b',
      '    - host: b # the second',
      '      # moved',
      '      port: 5 # old',
      '    - c',
    ),
    ['b:6'],
    lines(
      'replication:',
      '  routes:',
      '    # b',
      '    # the second',
      '    # moved',
      '    - b:6 # old',
      '    - c',
    ),
  ],
  [
    'a route in quotes over its own line is replaced',
    lines('replication:', '  routes:', '    -', '      "b:1"', '    - c'),
    [{ host: 'b', port: 2 }],
    lines('replication:', '  routes:', '    -', '      host: b', '      port: 2', '    - c'),
  ],
  [
    'a route in brackets is replaced',
    lines('replication: {routes: ["b:1", {host: c, port: 1}]}'),
    ['b:2', { url: 'ws://c:2' }],
    lines('replication: {routes: ["b:2", {"url":"ws://c:2"}]}'),
  ],
  [
    'the first of two routes to a node is the one in effect and is replaced',
    lines('replication:', '  routes: [b:1, b:2]'),
    ['b:3'],
    lines('replication:', '  routes: [b:3, b:2]'),
  ],
  [
    'a route that cannot be read is left alone',
    lines('replication:', '  routes: [{port: 1}, http://c, null, b:1]'),
    ['b:2', 'c'],
    lines('replication:', '  routes: [{port: 1}, http://c, null, b:2, c]'),
  ],
];

for (const [title, before, entries, after] of replacements) {
  test(`set: ${title}`, (t) => {
    const changed = setRoutes(before, entries, DEFAULTS);
    t.is(changed.text, after);
    t.deepEqual([changed.set, changed.skipped], [entries, []]);
  });
}

test('set: a route is skipped when its node and URL are there in another spelling', (t) => {
  const text = lines('replication:', '  routes: [B., ws://c:9933, {host: d, port: 9933}, "[::1]"]');
  const entries = [{ host: 'b' }, 'c', { url: 'ws://D:9933/' }, '0:0::1'];
  const { set, skipped, text: after } = setRoutes(text, entries, DEFAULTS);
  t.deepEqual([set, skipped, after], [[], entries, text]);
});

test('set: a route with the same host but another scheme or default port is another URL', (t) => {
  const text = lines('replication:', '  routes: [b]');
  t.is(
    setRoutes(text, ['b'], { scheme: 'ws', port: 9934 }).text,
    text,
    'both mean the default of this node',
  );
  t.is(setRoutes(text, ['b:9934'], DEFAULTS).text, lines('replication:', '  routes: [b:9934]'));
});

test('set: entries of one request see each other', (t) => {
  const text = lines('replication:', '  routes: [a]');
  const changed = setRoutes(text, ['b:1', 'b:1', 'b:2', 'a:1', 'a:9933'], DEFAULTS);
  t.is(changed.text, lines('replication:', '  routes: [a:9933, b:2]'));
  t.deepEqual(changed.set, ['b:1', 'b:2', 'a:1', 'a:9933']);
  t.deepEqual(changed.skipped, ['b:1']);
  t.deepEqual(changed.routes, ['a:9933', 'b:2']);
});

const deletions: readonly Case[] = [
  [
    'a route goes with its line, other comments stay',
    lines(
      'replication:',
      '  routes: # r',
      '    # first',
      '    - a # one',
      '    # second',
      '    - host: b # two',
      '      port: 9933 # old',
      '    # third',
      '    - c',
      '  port: 9933',
    ),
    ['a', 'ws://b:9933'],
    lines(
      'replication:',
      '  routes: # r',
      '    # first',
      '    # second',
      '    # third',
      '    - c',
      '  port: 9933',
    ),
  ],
  [
    'every route to the node and URL goes',
    lines('replication:', '  routes:', '    - b', '    - a', '    - {host: B}', '    - b:1'),
    ['b'],
    lines('replication:', '  routes:', '    - a', '    - b:1'),
  ],
  [
    'the last route leaves an empty list',
    lines(
      'replication:',
      '  routes:   # r',
      '    # about a',
      '    - a # one',
      '    - b',
      'node: {}',
    ),
    ['b', 'a'],
    lines('replication:', '  routes: []   # r', '    # about a', 'node: {}'),
  ],
  [
    'a last line without a newline stays without one',
    'replication:\n  routes:\n    - a\n    - b\n    - c',
    ['c', 'b'],
    'replication:\n  routes:\n    - a',
  ],
  [
    'all routes at the end of a file without a newline',
    'replication:\r\n  routes:\r\n    - a\r\n    - b',
    ['a', 'b'],
    'replication:\r\n  routes: []',
  ],
  [
    'CRLF stays',
    'replication:\r\n  routes:\r\n    - a\r\n    - b\r\nnode: {}\r\n',
    ['a'],
    'replication:\r\n  routes:\r\n    - b\r\nnode: {}\r\n',
  ],
  [
    'the first in brackets',
    lines('replication: {routes: [a, b,c]}'),
    ['a'],
    lines('replication: {routes: [b,c]}'),
  ],
  [
    'the middle in brackets',
    lines('replication: {routes: [a, b,c]}'),
    ['b'],
    lines('replication: {routes: [a, c]}'),
  ],
  [
    'the last two in brackets',
    lines('replication: {routes: [ a, b,c ]}'),
    ['c', 'b'],
    lines('replication: {routes: [ a ]}'),
  ],
  [
    'all in brackets',
    lines('replication: {routes: [a, {host: b, port: 1}, c], port: 9933}'),
    ['a', 'b:1', 'c'],
    lines('replication: {routes: [], port: 9933}'),
  ],
  [
    'all in brackets that end with a comma',
    lines('replication: {routes: [a, b, ]}'),
    ['b'],
    lines('replication: {routes: [a, ]}'),
  ],
  [
    'brackets over many lines lose a line and keep comments',
    lines('replication:', '  routes: [', '    a, # one', '    b,', '    # about c', '    c', '  ]'),
    ['b'],
    lines('replication:', '  routes: [', '    a, # one', '    # about c', '    c', '  ]'),
  ],
  [
    'the last in brackets over many lines leaves the comments before it',
    lines('replication:', '  routes: [', '    a, # one', '    b', '  ]'),
    ['b'],
    lines('replication:', '  routes: [', '    a, # one', '  ]'),
  ],
  [
    'JSON stays JSON',
    '{"replication": {"routes": ["a", {"host": "b"}]}}',
    ['b'],
    '{"replication": {"routes": ["a"]}}',
  ],
];

for (const [title, before, entries, after] of deletions) {
  test(`delete: ${title}`, (t) => {
    const changed = deleteRoutes(before, entries, DEFAULTS);
    t.is(changed.text, after);
    t.deepEqual([changed.deleted, changed.skipped], [entries, []]);
    t.deepEqual(deleteRoutes(after, entries, DEFAULTS), {
      text: after,
      routes: changed.routes,
      deleted: [],
      skipped: entries,
    });
  });
}

test('delete: a route that is not there is skipped, also when its node has another URL', (t) => {
  for (const text of [
    '',
    '# c',
    'node: {}',
    'replication:',
    'replication: {routes: }',
    'replication: {routes: [b:1]}',
  ]) {
    const entries = ['b', 'c'];
    const { deleted, skipped, text: after } = deleteRoutes(text, entries, DEFAULTS);
    t.deepEqual([deleted, skipped, after], [[], entries, text]);
  }
});

test('delete: the second of two equal entries is skipped', (t) => {
  const text = lines('replication:', '  routes: [a, b]');
  t.like(deleteRoutes(text, ['b', 'b:9933'], DEFAULTS), { deleted: ['b'], skipped: ['b:9933'] });
});

test('what was deleted can be set again', (t) => {
  for (const [, before, entries] of deletions) {
    const { text } = deleteRoutes(before, entries, DEFAULTS);
    t.deepEqual(setRoutes(text, entries, DEFAULTS).set, entries);
  }
});

const refusals: readonly (readonly [
  title: string,
  text: string,
  entries: readonly RouteEntry[],
  code: string,
  message: RegExp,
])[] = [
  [
    'a host that is none',
    '',
    ['a', 'b/c'],
    'INVALID_REQUEST',
    /^routes\[1\]: Invalid route, .*"\/"/,
  ],
  ['a URL of another scheme', '', ['http://b'], 'INVALID_REQUEST', /^routes\[0\]: .*ws:\/\//],
  [
    'what the configuration refuses',
    '',
    ['a', { host: 'b', replicates: 'sends', sendsTo: [7] }],
    'INVALID_REQUEST',
    /^'routes\[1\]\.replicates' must be true, false, or an object .*'routes\[1\]\.sendsTo\.0' must be the name/,
  ],
  [
    'what the configuration does not know',
    '',
    [{ host: 'b', prot: 1 }],
    'INVALID_REQUEST',
    /^unknown key 'routes\[0\]\.prot', did you mean 'routes\[0\]\.port'\?$/,
  ],
  ['a text that is no YAML', 'replication: [', ['b'], 'INVALID_CONFIGURATION', /line 1/],
  ['a text that is no section', '- a', ['b'], 'INVALID_CONFIGURATION', /expected keys/],
  ['two documents', 'a: 1\n---\nb: 1\n', ['b'], 'INVALID_CONFIGURATION', /multiple documents/],
  [
    'a list that adds to another source',
    'replication: {routes: {$union: [a]}}',
    ['b'],
    'INVALID_CONFIGURATION',
    /replication\.routes is no plain list/,
  ],
  [
    'a list that stands elsewhere',
    'x: &r [a]\nreplication: {routes: *r}',
    ['b'],
    'INVALID_CONFIGURATION',
    /replication\.routes is no plain list/,
  ],
  [
    'a list that stands here for elsewhere too',
    'replication: {routes: &r [a]}\nx: *r\n',
    ['b'],
    'INVALID_CONFIGURATION',
    /its layout is unusual/,
  ],
  [
    'a section that is none',
    'replication: 5',
    ['b'],
    'INVALID_CONFIGURATION',
    /replication is no plain section/,
  ],
  [
    'a route in brackets with a comment within',
    'replication:\n  routes: [{host: b, # c\n    port: 1}]\n',
    ['b:2'],
    'INVALID_CONFIGURATION',
    /a route has a comment within/,
  ],
];

for (const [title, text, entries, code, message] of refusals) {
  test(`set: ${title} is refused`, (t) => {
    const error = t.throws(() => setRoutes(text, entries, DEFAULTS), { instanceOf: SkeinError });
    t.is<string | undefined, string>(error?.code, code);
    t.regex(error?.message ?? '', message);
  });
}

const DIRECTED = { host: 'b', replicates: { sends: false, receives: true } };

test('set: a route with other rules takes the place of the one to the same node', (t) => {
  const first = setRoutes('replication: {routes: [a, b]}', [DIRECTED], DEFAULTS);
  t.deepEqual(first.set, [DIRECTED]);
  t.deepEqual(first.routes, ['a', DIRECTED]);
  const same = setRoutes(first.text, [DIRECTED, 'b', { host: 'b' }], DEFAULTS);
  t.deepEqual(
    [same.set, same.skipped, same.text],
    [[], [DIRECTED, 'b', { host: 'b' }], first.text],
  );
  const lists = {
    host: 'b',
    sendsTo: [{ database: 'data', excludeTables: ['t'] }],
    receivesFrom: [],
  };
  const second = setRoutes(first.text, [lists], DEFAULTS);
  t.deepEqual(second.routes, ['a', lists]);
  const open = setRoutes(second.text, [{ host: 'b', replicates: true }], DEFAULTS);
  t.deepEqual(open.routes, ['a', { host: 'b', replicates: true }]);
  t.deepEqual(deleteRoutes(second.text, ['b'], DEFAULTS).routes, ['a']);
});

test('set: rules come into lists of every layout', (t) => {
  const subscriptions = [{ database: 'data', table: 't', publish: true, subscribe: false }];
  for (const text of [
    lines('replication:', '  port: 9933', '  routes:', '    - a # one', '  shard: 1'),
    '{"replication": {"routes": ["a"]}}',
    lines('replication:', '  port: 9933'),
  ]) {
    const { routes, text: after } = setRoutes(
      text,
      [{ host: 'c', subscriptions }, DIRECTED],
      DEFAULTS,
    );
    t.deepEqual(routes.slice(-2), [{ host: 'c', subscriptions }, DIRECTED]);
    t.deepEqual(setRoutes(after, [DIRECTED], DEFAULTS).skipped, [DIRECTED]);
  }
});

test('delete: an entry that is no route is refused, and so is a layout that does not fit', (t) => {
  t.throws(() => deleteRoutes('', ['b/c'], DEFAULTS), { message: /^routes\[0\]: Invalid route/ });
  t.throws(() => deleteRoutes('replication: {routes: &r [a]}\nx: *r\n', ['a'], DEFAULTS), {
    message: /change replication\.routes there by hand/,
  });
});

test('routes are told as they stand in the file afterwards', (t) => {
  const { routes }: RoutesChanged = setRoutes(
    'replication: {routes: [a, {host: b}]}',
    ['c'],
    DEFAULTS,
  );
  t.deepEqual(routes, ['a', { host: 'b' }, 'c']);
});
