/** Which of two links goes on, and how long until the next attempt. Transcripts: tests/scenario/session.txt. */
import test from 'ava';
import { nodeName } from '../../protocol/ids.js';
import { admission, keepsNewer, reconnectDelayMs, type OpenLink } from '../../protocol/session.js';

const a = nodeName('a');
const b = nodeName('b');

/** Which of two links `own` keeps; each link is named by who dialled it, the later opened one comes second. */
const kept = (
  own: 'a' | 'b',
  dialledBy: readonly ['a' | 'b', 'a' | 'b'],
  processes: readonly [string, string] = ['p', 'p'],
): number => {
  const [older, newer] = dialledBy.map((by, opened) => ({
    dialled: by === own,
    opened,
    process: processes[opened],
  })) as [OpenLink, OpenLink];
  const peer = own === 'a' ? b : a;
  return keepsNewer({ own: nodeName(own), peer, older, newer }) ? 1 : 0;
};

for (const first of ['a', 'b'] as const)
  for (const second of ['a', 'b'] as const)
    test(`of links dialled by ${first} and then by ${second} both ends keep the same`, (t) => {
      const expected = first === second ? 1 : first === 'a' ? 0 : 1;
      t.is(kept('a', [first, second]), expected);
      t.is(kept('b', [first, second]), expected);
    });

test('links dialled by both sides are decided alike when the ends saw them open in other orders', (t) => {
  const dialledBy = ['a', 'b'] as const;
  const atA = dialledBy[kept('a', dialledBy)];
  const reversed = ['b', 'a'] as const;
  const atB = reversed[kept('b', reversed)];
  t.is(atA, 'a');
  t.is(atB, 'a');
});

for (const first of ['a', 'b'] as const)
  for (const second of ['a', 'b'] as const)
    test(`of two processes the one admitted later stays, dialled by ${first} and then by ${second}`, (t) => {
      t.is(kept('a', [first, second], ['p', 'q']), 1);
      t.is(kept('b', [first, second], ['p', 'q']), 1);
    });

for (const [openProcess, newProcess, heard, expected] of [
  ['p', 'p', null, 'admit'],
  ['p', 'p', true, 'admit'],
  ['p', 'q', null, 'probe'],
  ['p', 'q', true, 'refuse'],
  ['p', 'q', false, 'admit'],
] as const)
  test(`beside a link of process ${openProcess}, heard: ${heard}, one of process ${newProcess}: ${expected}`, (t) => {
    t.is(admission({ openProcess, newProcess, heard }), expected);
  });

for (const [attempt, random, expected] of [
  [1, 0, 250],
  [1, 0.999, 499.75],
  [2, 0, 500],
  [7, 0, 15_000],
  [1_000, 0, 15_000],
] as const)
  test(`attempt ${attempt} with chance ${random} waits ${expected} ms`, (t) => {
    t.is(reconnectDelayMs({ attempt, msMin: 500, msMax: 30_000, random }), expected);
  });
