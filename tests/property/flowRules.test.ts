/** Rules of flow, whatever they say: both ends of an edge agree, and both ends of a link want it or neither does. */
import test from 'ava';
import * as fc from 'fast-check';
import { isNothing } from '../../protocol/flow.js';
import { settled } from '../../protocol/flowRules.js';
import { databaseName, nodeName, type NodeName } from '../../protocol/ids.js';
import {
  stepMembership,
  type MemberRoute,
  type MembershipState,
} from '../../protocol/membership.js';
import {
  A,
  B,
  endsOf,
  memberWith,
  routeOf,
  rulesOf,
  shown,
  tablesWith,
} from '../support/flowEnds.js';

const DATABASES = ['data', 'config', 'system'];
const TABLES = ['t', 'u'];

const maybe = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(value, { nil: undefined });

const rule = (node: 'target' | 'source', name: string): fc.Arbitrary<Record<string, unknown>> =>
  fc
    .record({
      [node]: maybe(fc.constant(name)),
      database: maybe(fc.constantFrom(...DATABASES)),
      excludeTables: maybe(fc.subarray(TABLES)),
    })
    .map(given);

/** Keys without a value are absent, as they are in JSON. */
const given = (fields: object): Record<string, unknown> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));

const directions = fc
  .record({
    sends: maybe(fc.boolean()),
    receives: maybe(fc.boolean()),
    sendsTo: maybe(fc.array(rule('target', 'b'), { maxLength: 3 })),
    receivesFrom: maybe(fc.array(rule('source', 'b'), { maxLength: 3 })),
  })
  .map(given);

const subscriptions = fc.array(
  fc.record({
    database: fc.constantFrom(...DATABASES),
    table: fc.constantFrom(...TABLES),
    publish: fc.boolean(),
    subscribe: fc.boolean(),
  }),
  { maxLength: 4 },
);

const said = fc.oneof(
  directions.map((replicates) => ({ replicates })),
  fc.constant({ replicates: true }),
  subscriptions.map((list) => ({ subscriptions: list })),
);

const view = fc.constantFrom('peer' as const, 'local' as const);

test('what one end sends, the other receives, for every database and whatever is said', (t) => {
  fc.assert(
    fc.property(said, view, (body, direction) => {
      const { a, b } = endsOf(body, direction);
      for (const database of [...DATABASES, 'other'].map(databaseName)) {
        const [ofA, ofB] = [a.link(B, database), b.link(A, database)];
        if (shown(ofA.sends) !== shown(ofB.receives) || shown(ofA.receives) !== shown(ofB.sends))
          return false;
        // Nothing is refused of a node from which something is taken.
        if (a.origins(database).refused.includes(B) && !isNothing(ofA.receives)) return false;
      }
      return true;
    }),
    { numRuns: 500 },
  );
  t.pass();
});

test('a route and an add_node that say the same mean the same', (t) => {
  fc.assert(
    fc.property(directions, view, (replicates, direction) => {
      const { a } = endsOf({ replicates }, direction);
      const { flow } = routeOf({ host: 'b', replicates }, direction);
      const stated = settled(flow?.replicates ?? true, B);
      const route: MemberRoute = {
        name: B,
        url: 'ws://b',
        flow: { replicates: stated, subscriptions: null },
      };
      const routed = memberWith({ own: A, routes: [route] });
      const b = rulesOf(routed);
      return DATABASES.map(databaseName).every(
        (database) =>
          JSON.stringify(a.link(B, database)) === JSON.stringify(b.link(B, database)) &&
          JSON.stringify(a.origins(database)) === JSON.stringify(b.origins(database)),
      );
    }),
    { numRuns: 300 },
  );
  t.pass();
});

const NAMES = ['a', 'b', 'c', 'd', 'e'].map(nodeName);
const PAIRS = NAMES.flatMap((from, at) => NAMES.slice(at + 1).map((to) => [from, to] as const));

/** Which pairs have routes to each other, and which way those go. */
const topology = fc
  .tuple(...PAIRS.map(() => fc.constantFrom('none', 'none', 'there', 'back', 'plain')))
  .map((kinds) => PAIRS.map((pair, at) => ({ pair, kind: kinds[at] ?? 'none' })));

type Topology = readonly { pair: readonly [NodeName, NodeName]; kind: string }[];

const routesIn = (edges: Topology, own: NodeName): MemberRoute[] =>
  edges.flatMap(({ pair: [from, to], kind }) => {
    if (kind === 'none' || (own !== from && own !== to)) return [];
    const other = own === from ? to : from;
    if (kind === 'plain') return [routeOf({ host: other })];
    const otherReceives = (kind === 'there') === (own === from);
    const replicates = { sends: !otherReceives, receives: otherReceives };
    return [routeOf({ host: other, replicates })];
  });

const settledRows = (edges: Topology): Record<string, unknown>[] =>
  NAMES.map((own) => {
    const state = nodeIn(edges, own, []);
    const [, effects] = stepMembership(state, {
      type: 'tablesRead',
      tables: tablesWith({ own, names: NAMES, rows: [] }),
    });
    const written = effects.find(({ type }) => type === 'writeOwn');
    const replicates = written?.type === 'writeOwn' ? written.replicates : undefined;
    return { name: own, url: `ws://${own}`, replicates: replicates ?? true };
  });

const nodeIn = (
  edges: Topology,
  own: NodeName,
  rows: readonly Record<string, unknown>[],
): MembershipState =>
  memberWith({ own, rows, lives: NAMES, routes: routesIn(edges, own), gossips: true });

test('discovery opens no link that one end does not want, and none beside the routes of a constrained node', (t) => {
  fc.assert(
    fc.property(topology, (edges) => {
      const rows = settledRows(edges);
      const states = new Map(NAMES.map((own) => [own, nodeIn(edges, own, rows)]));
      const isDirected = (name: NodeName): boolean =>
        edges.some(
          ({ pair, kind }) => pair.includes(name) && (kind === 'there' || kind === 'back'),
        );
      return edges.every(({ pair: [from, to], kind }) => {
        const there = states.get(from)?.open.has(to);
        const back = states.get(to)?.open.has(from);
        const isFree = !isDirected(from) && !isDirected(to);
        return there === back && there === (kind !== 'none' || isFree);
      });
    }),
    { numRuns: 200 },
  );
  t.pass();
});
