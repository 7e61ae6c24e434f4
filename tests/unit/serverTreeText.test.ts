/** The supervision tree as text and as a graph, and the escaping that both rely on. */
import test from 'ava';
import { aligned, printable, treeDot, treeText } from '../../server/treeText.js';
import { fakeSnapshot } from '../support/fakeNode.js';

const NOW = 1_000_000;

const TREE = [
  fakeSnapshot('/skein', {
    processed: 12,
    children: [
      fakeSnapshot('/skein/router:data', {
        phase: 'live',
        mailbox: { control: 1, data: 23 },
        processed: 4567,
        restarts: 2,
        crashes: 2,
        lastCrash: { at: NOW - 65_000, message: 'bad\nrow', stack: '', during: 'entries.apply' },
      }),
      fakeSnapshot('/skein/peer:b', { state: 'backingOff', phase: 'waiting', hung: true }),
    ],
  }),
];

test('the tree is an aligned table with the dead letters below it', (t) => {
  const letters = [
    { at: NOW - 3_000, path: '/skein/peer:b', message: 'entries.send', why: 'full' as const },
  ];
  t.is(
    treeText(TREE, letters, NOW),
    [
      'actor          state              phase    mailbox  processed  restarts  last crash',
      'skein          running            running  0/0      12         0         -',
      '  router:data  running            live     1/23     4567       2         65 s ago, during entries.apply: bad\\u000arow',
      '  peer:b       backingOff (hung)  waiting  0/0      0          0         -',
      '',
      'dead letters: 1',
      '  3 s ago  entries.send to /skein/peer:b (full)',
      '',
    ].join('\n'),
  );
});

for (const [ms, expected] of [
  [0, '0 s ago'],
  [119_000, '119 s ago'],
  [120_000, '2 min ago'],
  [7_200_000, '2 h ago'],
  [-5_000, '0 s ago'],
] as const) {
  test(`a crash ${ms} ms before is "${expected}"`, (t) => {
    const lastCrash = { at: NOW - ms, message: 'm', stack: '', during: 'd' };
    t.true(treeText([fakeSnapshot('/a', { lastCrash })], [], NOW).includes(expected));
  });
}

test('the graph has a box per actor and an arrow per child, coloured by state', (t) => {
  t.is(
    treeDot(TREE),
    [
      'digraph actors {',
      '  rankdir=LR;',
      '  node [shape=box, style="rounded,filled", fontname="sans-serif"];',
      '  "/skein" [label="skein\\nrunning, 0 restarts", fillcolor="#b9dfc0"];',
      '  "/skein/router:data" [label="router:data\\nlive, 2 restarts", fillcolor="#dfe9b8"];',
      '  "/skein" -> "/skein/router:data";',
      '  "/skein/peer:b" [label="peer:b\\nwaiting, 0 restarts", fillcolor="#f4a6a0"];',
      '  "/skein" -> "/skein/peer:b";',
      '}',
      '',
    ].join('\n'),
  );
});

test('a name cannot leave its quotes in the graph', (t) => {
  const dot = treeDot([fakeSnapshot('/a"b\\', { name: 'a"];x\n' })]);
  t.true(dot.includes('"/a\\"b\\\\" [label="a\\"];x\\n\\nrunning, 0 restarts"'));
});

for (const [text, expected] of [
  ['plain ä 漢', 'plain ä 漢'],
  ['\u001b[2J', '\\u001b[2J'],
  ['a\nb\tc', 'a\\u000ab\\u0009c'],
  ['\u009b31m\u007f', '\\u009b31m\\u007f'],
  ['\u202eevil', '\\u202eevil'],
] as const) {
  test(`${JSON.stringify(expected)} is what is printed of a text that could steer a terminal`, (t) => {
    t.is(printable(text), expected);
  });
}

test('columns are as wide as their widest cell', (t) => {
  t.deepEqual(
    aligned([
      ['a', 'bbb', 'c'],
      ['aaaa', 'b', ''],
    ]),
    ['a     bbb  c', 'aaaa  b'],
  );
});
