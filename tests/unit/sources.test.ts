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
import { planSources, type PeerView, type SourcesInput } from '../../protocol/sources.js';
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
const peer: fc.Arbitrary<PeerView> = fc.record({
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
    .uniqueArray(fc.tuple(fc.constantFrom(...NAMES), peer), { selector: ([name]) => name })
    .map((list) => new Map(list)),
  current: fc
    .array(fc.tuple(fc.constantFrom(...ORIGINS), fc.constantFrom(...NAMES)), { maxLength: 4 })
    .map((list) => new Map<OriginId, NodeName>(list)),
  copyUnfinished: fc.boolean(),
  replayEntriesMax: fc.nat(8),
  noCopyFrom: fc.subarray(NAMES).map((names) => new Set(names)),
});

test('whatever is asked of a peer it has, it can give, and nobody else is asked for', (t) => {
  fc.assert(
    fc.property(input, (given) => {
      const { wants, from, copyNeeded, copyFrom } = planSources(given);
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
        !(copyNeeded && asked.length > 0) &&
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
      const { from, copyNeeded } = planSources(given);
      if (copyNeeded) return true;
      for (const [name, { positions: theirs, tooOld, refused }] of given.peers)
        for (const origin of theirs.keys())
          if (nodeOf(origin) === name && !tooOld.has(origin) && !refused.has(origin))
            if (from.get(origin) !== name) return isBehind(given, { name, origin });
      return true;
    }),
    { numRuns: 5_000 },
  );
  t.pass();
});

/** Somebody else has more: then the own node, back from a lost disk, may be passed over. */
const isBehind = (given: SourcesInput, one: { name: NodeName; origin: OriginId }): boolean => {
  const own = given.peers.get(one.name)?.positions.get(one.origin)?.sequence ?? 0;
  return [...given.peers.values()].some(
    (view) => (view.positions.get(one.origin)?.sequence ?? 0) > own,
  );
};

test('a copy that is begun brings something new, so that it is not wanted again and again', (t) => {
  fc.assert(
    fc.property(input, (given) => {
      const { copyFrom } = planSources(given);
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
