/**
 * Filtering and joining: whatever was left out on the way, and in whatever order, a node that pays its debts from whole
 * nodes ends with the very rows that it would have without any filter. Over real stores, without actors.
 */
import test from 'ava';
import * as fc from 'fast-check';
import { payableBy } from '../../protocol/debts.js';
import { ALL_ORIGINS, EVERYTHING, type TableScope } from '../../protocol/flow.js';
import { tableName } from '../../protocol/ids.js';
import type { Store } from '../../storage/store.js';
import { copyInto } from '../support/copying.js';
import {
  catchUp,
  definition,
  inCommit,
  memoryStore,
  NOW_MS,
  rowStates,
  transaction,
} from '../support/stores.js';

const NAMES = ['cats', 'dogs'] as const;
const IDS = ['x', 'y'] as const;
type Place = 0 | 1 | 2 | 3;

const scope: fc.Arbitrary<TableScope> = fc.constantFrom<TableScope>(
  EVERYTHING,
  { kind: 'all', except: [tableName('dogs')] },
  { kind: 'all', except: ['cats', 'dogs'].map(tableName) },
  { kind: 'only', tables: [tableName('cats')] },
  { kind: 'only', tables: [tableName('dogs')] },
);
const place = fc.constantFrom<Place>(0, 1, 2, 3);

type Step =
  | { type: 'write'; at: Place; kind: number; table: number; id: number; both: boolean }
  | { type: 'pull'; to: Place; from: Place; scope: TableScope }
  | { type: 'copy'; to: Place; from: Place; sends: TableScope }
  | { type: 'pay'; to: Place; from: Place; sends: TableScope };

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        type: fc.constant('write' as const),
        at: place,
        kind: fc.nat(2),
        table: fc.nat(1),
        id: fc.nat(1),
        both: fc.boolean(),
      }),
    },
    {
      weight: 5,
      arbitrary: fc.record({ type: fc.constant('pull' as const), to: place, from: place, scope }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        type: fc.constant('copy' as const),
        to: place,
        from: place,
        sends: scope,
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        type: fc.constant('pay' as const),
        to: place,
        from: place,
        sends: scope,
      }),
    },
  ),
  { minLength: 1, maxLength: 14 },
);

let clock = NOW_MS;

const writeAt = (store: Store, step: Extract<Step, { type: 'write' }>): Promise<unknown> => {
  const id = IDS[step.id] ?? 'x';
  const tables = step.both ? NAMES : [NAMES[step.table] ?? 'cats'];
  const writes = tables.map((table) => {
    const record = { id, [`v${clock % 3}`]: clock };
    if (step.kind === 0) return { table, type: 'put', records: [record] } as const;
    if (step.kind === 1) return { table, type: 'upsert', records: [record] } as const;
    return { table, type: 'delete', keys: [id] } as const;
  });
  clock++;
  return inCommit(store, (commit) => commit.transact(transaction(writes, { nowMs: clock })));
};

const reachedBy = (store: Store): Map<never, number> =>
  new Map([...store.sharedVector()].map(([origin, at]) => [origin as never, at.sequence]));

/** One payment of `to` by `from`, if it can make one. */
const pay = async (to: Store, from: Store, sends: TableScope = EVERYTHING): Promise<boolean> => {
  const payer = { scope: sends, inPart: from.debts.inPart, reached: reachedBy(from) };
  const tables = payableBy(to.debts.debts, payer, ALL_ORIGINS);
  if (tables) await copyInto(to, from, { tables, nowMs: clock });
  return tables !== null;
};

const run = async (nodes: readonly Store[], step: Step): Promise<void> => {
  const at = (index: Place): Store => nodes[index % nodes.length] ?? fail();
  if (step.type === 'write') await writeAt(at(step.at), step);
  else if (at(step.to) === at(step.from)) return;
  else if (step.type === 'pull')
    await catchUp(at(step.to), at(step.from), { scope: step.scope, startTimeMs: null });
  else if (step.type === 'pay') await pay(at(step.to), at(step.from), step.sends);
  else await copyInto(at(step.to), at(step.from), { sends: step.sends, nowMs: clock });
};

const fail = (): never => {
  throw new Error('No such node');
};

/** Everybody gets everything from everybody, and then whoever can pays for the others. */
const settleAll = async (nodes: readonly Store[]): Promise<void> => {
  for (let round = 0; round < 2; round++)
    for (const [to, from] of pairsOf(nodes)) await catchUp(to, from);
  for (let payments = 0, isPaid = true; isPaid; payments++) {
    if (payments > PAYMENTS_MAX) throw new Error('Debts are paid again and again');
    isPaid = false;
    for (const [to, from] of pairsOf(nodes)) if (await pay(to, from)) isPaid = true;
  }
};

const PAYMENTS_MAX = 8;

const pairsOf = (nodes: readonly Store[]): [Store, Store][] =>
  nodes.flatMap((to) =>
    nodes.flatMap((from): [Store, Store][] => (to === from ? [] : [[to, from]])),
  );

test('rows are the same as without filters, once debts are paid', async (t) => {
  await fc.assert(
    fc.asyncProperty(steps, fc.integer({ min: 2, max: 4 }), async (list, count) => {
      const builtIn = NAMES.map((name) => definition(name));
      const names = ['a', 'b', 'c', 'd'].slice(0, count);
      const nodes = await Promise.all(names.map((node) => memoryStore({ node, builtIn })));
      for (const step of list) await run(nodes, step);
      await settleAll(nodes);
      for (const name of NAMES) {
        const states = await Promise.all(nodes.map((node) => rowStates(node, name)));
        t.is(new Set(states).size, 1, `${name}: ${JSON.stringify(list)}`);
      }
      t.true(nodes.every((node) => node.debts.inPart.size === 0));
    }),
    { numRuns: 300 },
  );
});

test('a node without rules owes nothing', async (t) => {
  const [a, b] = await Promise.all(
    ['a', 'b'].map((node) => memoryStore({ node, builtIn: [definition('cats')] })),
  );
  if (!a || !b) return t.fail();
  await writeAt(a, { type: 'write', at: 0, kind: 0, table: 0, id: 0, both: false });
  await catchUp(b, a);
  await copyInto(b, a);
  t.is(b.debts.debts.size, 0);
});
