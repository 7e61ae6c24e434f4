/** The choice of sources in any situation. Single cases: tests/scenario/sources.txt. */
import test from 'ava';
import * as fc from 'fast-check';
import type { OriginPosition } from '../../protocol/frames.js';
import {
  nodeName,
  nodeOf,
  sequence,
  version,
  type NodeName,
  type OriginId,
} from '../../protocol/ids.js';
import {
  planSources,
  type PeerView,
  type SourcesInput,
  type SourcesPlan,
} from '../../protocol/sources.js';
import { originNamed } from '../support/scenario.js';

const NAMES = ['a', 'b', 'c'].map(nodeName);
const ORIGINS = ['a', 'b', 'b/2', 'me', 'me/2'].map(originNamed);
const OWN_ORIGIN = originNamed('me/2');

const someOrigins = fc.subarray(ORIGINS).map((origins) => new Set(origins));
const positions = fc
  .uniqueArray(fc.tuple(fc.constantFrom(...ORIGINS), fc.integer({ min: 1, max: 5 })), {
    selector: ([origin]) => origin,
  })
  .map((list) => new Map(list));
/** The lives of each that may be its present one. */
const LIVES = { a: ['a'], b: ['b', 'b/2'], c: ['c'] } as const;
const peerNamed = (name: keyof typeof LIVES): fc.Arbitrary<[NodeName, PeerView]> =>
  fc.tuple(fc.constant(nodeName(name)), peerOf(fc.constantFrom(...LIVES[name])));
const peerOf = (life: fc.Arbitrary<string>): fc.Arbitrary<PeerView> =>
  fc.record({
    origin: life.map(originNamed),
    positions: positions.map(
      (list) =>
        new Map<OriginId, OriginPosition>(
          [...list].map(([origin, at]) => [
            origin,
            { origin, sequence: sequence(at), version: version(at) },
          ]),
        ),
    ),
    tooOld: someOrigins,
    refused: someOrigins,
    whole: fc.boolean(),
    rttMs: fc.option(fc.nat(3)),
  });
const input: fc.Arbitrary<SourcesInput> = fc.record({
  own: fc.constant(nodeName('me')),
  ownOrigin: fc.constant(OWN_ORIGIN),
  vector: fc
    .tuple(positions, fc.boolean())
    .map(
      ([list, ownOnly]) =>
        new Map(
          [...list]
            .filter(([origin]) => !ownOnly || nodeOf(origin) === 'me')
            .map(([origin, at]) => [origin, { sequence: at, checksum: at }]),
        ),
    ),
  peers: fc
    .uniqueArray(fc.oneof(peerNamed('a'), peerNamed('b'), peerNamed('c')), {
      selector: ([name]) => name,
    })
    .map((list) => new Map(list)),
  current: fc
    .array(fc.tuple(fc.constantFrom(...ORIGINS), fc.constantFrom(...NAMES)), { maxLength: 4 })
    .map((list) => new Map<OriginId, NodeName>(list)),
  copyUnfinished: fc.boolean(),
  copyWantedFrom: fc.option(fc.constantFrom(...NAMES), { freq: 4 }),
  replayEntriesMax: fc.nat(8),
  noCopyFrom: fc.subarray(NAMES).map((names) => new Set(names)),
});

test('whatever is asked of a peer it has, it can give, and nobody else is asked for', (t) => {
  fc.assert(
    fc.property(input, (given) => {
      const plan = planSources(given);
      const { wants, from, copyNeeded, copyFrom } = plan;
      const asked: OriginId[] = [];
      for (const [name, list] of wants)
        for (const { origin, after, checksum } of list) {
          const view = given.peers.get(name);
          const held = given.vector.get(origin);
          if (!view?.positions.has(origin)) return false;
          if (view.tooOld.has(origin) || view.refused.has(origin)) return false;
          if (after !== (held?.sequence ?? 0) || checksum !== (held?.checksum ?? 0)) return false;
          if (origin === OWN_ORIGIN || from.get(origin) !== name) return false;
          asked.push(origin);
        }
      const source = copyFrom === null ? undefined : given.peers.get(copyFrom);
      return (
        new Set(asked).size === asked.length &&
        wants.size === given.peers.size &&
        (goesOn(given, plan) || asked.length === 0) &&
        (copyFrom === null || (copyNeeded && source?.whole === true))
      );
    }),
    { numRuns: 5_000 },
  );
  t.pass();
});

test('an origin is taken from its own node whenever that can give it', (t) => {
  fc.assert(
    fc.property(input, (given) => {
      const plan = planSources(given);
      if (!goesOn(given, plan)) return true;
      for (const [name, view] of given.peers)
        for (const origin of view.positions.keys()) {
          if (nodeOf(origin) !== name || !canGive(view, origin)) continue;
          if (plan.from.get(origin) === name) continue;
          if (view.origin === origin || !isBehind(given, { name, origin })) return false;
        }
      return true;
    }),
    { numRuns: 5_000 },
  );
  t.pass();
});

test('whatever somebody has more of and can give is wanted, unless a copy is going on', (t) => {
  fc.assert(
    fc.property(input, (given) => {
      const plan = planSources(given);
      if (!goesOn(given, plan)) return true;
      for (const view of given.peers.values())
        for (const [origin, { sequence: reached }] of view.positions) {
          if (origin === OWN_ORIGIN || !canGive(view, origin)) continue;
          const held = given.vector.get(origin)?.sequence ?? 0;
          if (reached > held && !plan.from.has(origin)) return false;
        }
      return true;
    }),
    { numRuns: 5_000 },
  );
  t.pass();
});

const goesOn = (given: SourcesInput, { copyFrom }: SourcesPlan): boolean =>
  !given.copyUnfinished && copyFrom === null;

const canGive = ({ tooOld, refused }: PeerView, origin: OriginId): boolean =>
  !tooOld.has(origin) && !refused.has(origin);

/** Somebody else has more: then the own node, back from a lost disk, may be passed over for its former life. */
const isBehind = (given: SourcesInput, one: { name: NodeName; origin: OriginId }): boolean => {
  const own = given.peers.get(one.name)?.positions.get(one.origin)?.sequence ?? 0;
  return [...given.peers.values()].some(
    (view) => (view.positions.get(one.origin)?.sequence ?? 0) > own,
  );
};

test('a copy that nobody asked for brings something new, so that it is not wanted again and again', (t) => {
  fc.assert(
    fc.property(input, (given) => {
      const { copyFrom } = planSources({ ...given, copyWantedFrom: null });
      if (copyFrom === null || given.copyUnfinished) return true;
      const theirs = given.peers.get(copyFrom)?.positions ?? new Map<OriginId, OriginPosition>();
      return [...theirs.values()].some(
        ({ origin, sequence: reached }) => reached > (given.vector.get(origin)?.sequence ?? 0),
      );
    }),
    { numRuns: 10_000 },
  );
  t.pass();
});

test('the same plan comes out when it is made again', (t) => {
  fc.assert(
    fc.property(input, (given) => {
      const first = planSources(given);
      const again = planSources({ ...given, current: first.from });
      return JSON.stringify([...again.from]) === JSON.stringify([...first.from]);
    }),
    { numRuns: 2_000 },
  );
  t.pass();
});
