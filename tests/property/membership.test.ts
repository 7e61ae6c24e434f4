/**
 * Membership over random histories: nodes add and remove each other knowing only what they know, news arrives late,
 * twice, in any order, by table and by gossip. Judged against the lives that were written, in a statement of its own.
 */
import test from 'ava';
import * as fc from 'fast-check';
import { nodeName, type NodeName } from '../../protocol/ids.js';
import {
  factsOf,
  nextGeneration,
  startMembership,
  stepMembership,
  type MembershipState,
} from '../../protocol/membership.js';

const NAMES = ['a', 'b', 'c', 'd'].map(nodeName);

/** A write to the tables of one node; the tables of others get it some time, or never until the end. */
interface Written {
  readonly name: NodeName;
  readonly generation: number;
  readonly ended: boolean;
}

type Action =
  | { readonly type: 'add' | 'remove'; readonly at: number; readonly name: number }
  | { readonly type: 'replicate' | 'gossip'; readonly from: number; readonly to: number };

const place = fc.nat({ max: NAMES.length - 1 });
const action: fc.Arbitrary<Action> = fc.oneof(
  fc.record({ type: fc.constantFrom('add' as const, 'remove' as const), at: place, name: place }),
  fc.record({
    type: fc.constantFrom('replicate' as const, 'gossip' as const),
    from: place,
    to: place,
  }),
);

class Cluster {
  readonly tables = NAMES.map(() => new Map<string, Written>());
  readonly states: MembershipState[] = NAMES.map((own) =>
    startMembership({ own, ownUrl: `ws://${own}`, gossips: true }, []),
  );
  /** All that was ever written, in the order of writing. */
  readonly written: Written[] = [];

  constructor() {
    for (const [at, name] of NAMES.entries())
      this.#write(at, { name, generation: 1, ended: false });
  }

  perform(action: Action): void {
    switch (action.type) {
      case 'add':
      case 'remove': {
        const name = NAMES[action.name] ?? nodeName('a');
        const facts = factsOf(this.#state(action.at));
        if (action.type === 'add') {
          const generation = nextGeneration(facts, name);
          return this.#write(action.at, { name, generation, ended: false });
        }
        const life = facts.find((fact) => fact.name === name);
        if (!life || life.ended) return;
        return this.#write(action.at, { name, generation: life.generation, ended: true });
      }
      case 'replicate':
        return this.replicate(action.from, action.to);
      case 'gossip':
        return this.#step(action.to, {
          type: 'heard',
          members: factsOf(this.#state(action.from)),
        });
      default:
        return action satisfies never;
    }
  }

  replicate(from: number, to: number): void {
    for (const [key, row] of this.tables[from] ?? []) this.#put(to, key, row);
    this.#read(to);
  }

  /** Each node as after a restart: only its tables, and in another order. */
  restartAll(): void {
    for (const [at, own] of NAMES.entries()) {
      const rows = [...(this.tables[at] ?? [])].reverse();
      this.tables[at] = new Map(rows);
      this.states[at] = startMembership({ own, ownUrl: `ws://${own}`, gossips: true }, []);
      this.#read(at);
    }
  }

  #write(at: number, row: Written): void {
    this.written.push(row);
    this.#put(at, `${row.name}#${row.generation}`, row);
    this.#read(at);
  }

  /** Patches of one row: `ended` is only ever set. */
  #put(at: number, key: string, row: Written): void {
    const held = this.tables[at]?.get(key);
    this.tables[at]?.set(key, { ...row, ended: row.ended || held?.ended === true });
  }

  #read(at: number): void {
    const generations = [...(this.tables[at]?.values() ?? [])].map((row) => ({ ...row }));
    const nodes = NAMES.map((name) => ({ name, url: `ws://${name}`, replicates: true }));
    this.#step(at, {
      type: 'tablesRead',
      tables: { generations, nodes, announcedUrl: `ws://${NAMES[at] ?? ''}` },
    });
  }

  #step(at: number, event: Parameters<typeof stepMembership>[1]): void {
    const [next] = stepMembership(this.#state(at), event);
    this.states[at] = next;
  }

  #state(at: number): MembershipState {
    const state = this.states[at];
    if (!state) throw new Error(`No node ${at}`);
    return state;
  }
}

/** What must come of it: of each node the highest generation anybody wrote, ended if anybody ended that one. */
const expectedOf = (written: readonly Written[]): string[] =>
  NAMES.map((name) => {
    const own = written.filter((row) => row.name === name);
    const highest = Math.max(...own.map(({ generation }) => generation));
    const ended = own.some((row) => row.generation === highest && row.ended);
    return `${name}#${highest}${ended ? '!' : ''}`;
  });

const shown = (state: MembershipState): string[] =>
  factsOf(state).map(({ name, generation, ended }) => `${name}#${generation}${ended ? '!' : ''}`);

test('all nodes come to the same members, however the news travels, and after restarts too', (t) => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
      const cluster = new Cluster();
      for (const one of actions) cluster.perform(one);
      for (let round = 0; round < 2; round++)
        for (const from of NAMES.keys()) for (const to of NAMES.keys()) cluster.replicate(from, to);
      const expected = expectedOf(cluster.written);
      for (const state of cluster.states) t.deepEqual(shown(state), expected);
      cluster.restartAll();
      for (const state of cluster.states) t.deepEqual(shown(state), expected);
    }),
    { numRuns: 500 },
  );
});

test('no news but the next generation gives a removed node a link', (t) => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
      const cluster = new Cluster();
      /** Per node and member, the generation that ended there. */
      const ended = NAMES.map(() => new Map<NodeName, number>());
      for (const one of actions) {
        cluster.perform(one);
        for (const [at, state] of cluster.states.entries())
          for (const [name, life] of state.lives) {
            const before = ended[at]?.get(name) ?? 0;
            if (life.ended) ended[at]?.set(name, Math.max(before, life.generation));
            t.true(life.generation >= before);
            t.true(!state.open.has(name) || life.generation > before);
          }
      }
    }),
    { numRuns: 500 },
  );
});
