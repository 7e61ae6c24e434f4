/** Sources that send some tables only, or hold them in part. All other cases: sources.test.ts, scenario/sources.txt. */
import test from 'ava';
import { nodeName, sequence, version } from '../../protocol/ids.js';
import { planSources, type PeerView, type SourcesInput } from '../../protocol/sources.js';
import { originNamed } from '../support/scenario.js';

const A = originNamed('a');
const peer = (life: string, has: number, more: Partial<PeerView> = {}): PeerView => ({
  origin: originNamed(life),
  positions: new Map([[A, { origin: A, sequence: sequence(has), version: version(has) }]]),
  tooOld: new Set(),
  refused: new Set(),
  whole: true,
  rttMs: null,
  ...more,
});
const inputOf = (
  peers: Record<string, PeerView>,
  more: Partial<SourcesInput> = {},
): SourcesInput => ({
  own: nodeName('me'),
  ownOrigin: originNamed('me'),
  vector: new Map([[A, { sequence: 3, checksum: 3 }]]),
  peers: new Map(Object.entries(peers).map(([name, view]) => [nodeName(name), view])),
  current: new Map(),
  copyUnfinished: false,
  copyWantedFrom: null,
  replayEntriesMax: 100,
  noCopyFrom: new Set(),
  ...more,
});
const sourceOf = (peers: Record<string, PeerView>): string | undefined =>
  planSources(inputOf(peers)).from.get(A);

const NARROW = { isNarrow: true };
const PART = { inPart: new Set([A]) };

for (const [name, peers, expected] of [
  ['its author when that sends all', { a: peer('a', 3), b: peer('b', 9) }, 'a'],
  ['a relay that sends all, not the author', { a: peer('a', 9, NARROW), b: peer('b', 9) }, 'b'],
  ['such a relay too when nobody has more', { a: peer('a', 3, NARROW), b: peer('b', 3) }, 'b'],
  ['the author when no such relay has more', { a: peer('a', 9, NARROW), b: peer('b', 3) }, 'a'],
  ['the author when nobody sends all', { a: peer('a', 9, NARROW), b: peer('b', 9, PART) }, 'a'],
  ['who holds all of it', { b: peer('b', 9, PART), c: peer('c', 9) }, 'c'],
  [
    'who holds it in part when nobody else has more',
    { b: peer('b', 9, PART), c: peer('c', 3) },
    'b',
  ],
  [
    'who holds another origin in part as well',
    { b: peer('b', 9, { inPart: new Set([originNamed('x')]) }), c: peer('c', 9) },
    'b',
  ],
] as const)
  test(`an origin is taken from ${name}`, (t) => {
    t.is(sourceOf(peers), expected);
  });

test('a copy is taken from who sends and holds all, and from another when there is none', (t) => {
  const tooOld = { tooOld: new Set([A]) };
  const all = {
    b: peer('b', 9, { ...NARROW, ...tooOld }),
    c: peer('c', 9, { ...PART, ...tooOld }),
    d: peer('d', 9, tooOld),
  };
  t.is(planSources(inputOf(all)).copyFrom, nodeName('d'));
  const { d: _d, ...some } = all;
  t.is(planSources(inputOf(some)).copyFrom, nodeName('b'));
});
