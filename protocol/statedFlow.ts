/**
 * Reads what an operator says of the flow to and from one node (a route, add_node, update_node) into this node's view.
 * Called by config/routes.ts and the operations on members, with values whose types were checked. Pure.
 */
import type { StatedFlow } from './flowRules.js';
import type { NodeName } from './ids.js';
import { canonicalNodeName } from './nodeNames.js';
import type {
  DirectionLists,
  ReceivingRule,
  Replicates,
  SendingRule,
  TableSubscription,
} from './schemas/clusterSchemas.js';

/** As it is given. `sends` and `receives` describe the other node, or this one where `routeDirection` is `local`. */
export interface GivenFlow extends DirectionLists {
  readonly replicates?: boolean | Replicates | undefined;
  readonly subscriptions?: readonly TableSubscription[] | undefined;
  /** Of all databases, both ways. */
  readonly excludeTables?: readonly string[] | undefined;
}

export type RouteDirection = 'peer' | 'local';

export interface FlowProblem {
  readonly path: readonly string[];
  readonly text: string;
}

export interface FlowReading {
  /** Null: nothing is said of directions. */
  readonly flow: StatedFlow | null;
  readonly problems: readonly FlowProblem[];
  /** Entries about other nodes than this one: they have no effect. */
  readonly strangers: readonly FlowProblem[];
}

export const readFlow = (
  given: GivenFlow,
  { other, direction }: { other: NodeName; direction: RouteDirection },
): FlowReading => {
  const lists = [...listsIn(given, []), ...listsIn(withinOf(given), ['replicates'])];
  const problems = [...lists.flatMap(namelessIn), ...conflictsIn(given)];
  if (problems.length > 0) return { flow: null, problems, strangers: [] };
  const strangers = lists.flatMap((list) => strangersIn(list, other));
  return { flow: flowIn(given, direction), problems, strangers };
};

const withinOf = ({ replicates }: GivenFlow): Replicates =>
  typeof replicates === 'object' ? replicates : {};

const flowIn = (given: GivenFlow, direction: RouteDirection): StatedFlow | null => {
  const { replicates, subscriptions, excludeTables: excluded = [] } = given;
  if (subscriptions && subscriptions.length > 0) return { replicates: false, subscriptions };
  if (replicates === false) return { replicates, subscriptions: null };
  const within = withinOf(given);
  const sendsTo = given.sendsTo ?? within.sendsTo;
  const receivesFrom = given.receivesFrom ?? within.receivesFrom;
  if (typeof replicates !== 'object' && !sendsTo && !receivesFrom && excluded.length === 0) {
    const saysNothing = replicates === undefined && subscriptions === undefined;
    return saysNothing ? null : { replicates: true, subscriptions: null };
  }
  const flags = typeof replicates === 'object' ? flagsIn(within, direction) : ownFlags(given);
  return {
    replicates: {
      ...flags,
      ...listWith('sendsTo', sendsTo, { excluded, isOpen: flags.sends === true }),
      ...listWith('receivesFrom', receivesFrom, { excluded, isOpen: flags.receives === true }),
    },
    subscriptions: null,
  };
};

type Rule = SendingRule & ReceivingRule;

interface List {
  readonly path: readonly string[];
  readonly node: 'target' | 'source';
  readonly rules: readonly Rule[];
}

const listsIn = ({ sendsTo, receivesFrom }: DirectionLists, path: readonly string[]): List[] => [
  ...(sendsTo ? [{ path: [...path, 'sendsTo'], node: 'target', rules: sendsTo } as const] : []),
  ...(receivesFrom
    ? [{ path: [...path, 'receivesFrom'], node: 'source', rules: receivesFrom } as const]
    : []),
];

const namelessIn = ({ path, node, rules }: List): FlowProblem[] =>
  rules.flatMap((rule, index) => {
    const name = rule[node];
    return name === undefined || spelled(name) !== undefined
      ? []
      : [{ path: [...path, `${index}`, node], text: 'must be the name of a node' }];
  });

const strangersIn = ({ path, node, rules }: List, other: NodeName): FlowProblem[] =>
  rules.flatMap((rule, index) => {
    const name = rule[node];
    return name === undefined || spelled(name) === other
      ? []
      : [{ path: [...path, `${index}`, node], text: `must be '${other}', the node it is said of` }];
  });

/** Of two that say different things, neither can be guessed to be meant. */
const conflictsIn = (given: GivenFlow): FlowProblem[] => {
  const { replicates, subscriptions } = given;
  const within = withinOf(given);
  const hasDirections =
    (replicates !== undefined && replicates !== false) ||
    given.sendsTo !== undefined ||
    given.receivesFrom !== undefined ||
    (given.excludeTables ?? []).length > 0;
  if (subscriptions && subscriptions.length > 0 && hasDirections)
    return [{ path: ['subscriptions'], text: 'must not be given together with directions' }];
  return (['sendsTo', 'receivesFrom'] as const)
    .filter((list) => given[list] !== undefined && within[list] !== undefined)
    .map((list) => ({ path: [list], text: "must not be given twice, here and in 'replicates'" }));
};

const flagsIn = ({ sends, receives }: Replicates, direction: RouteDirection): Flags => {
  const [own, others] = direction === 'local' ? [sends, receives] : [receives, sends];
  return {
    ...(own !== undefined && { sends: own }),
    ...(others !== undefined && { receives: others }),
  };
};

interface Flags {
  readonly sends?: boolean;
  readonly receives?: boolean;
}

/** Without flags: lists alone close the direction that has none, `true` and excluded tables do not. */
const ownFlags = ({ replicates, sendsTo, receivesFrom }: GivenFlow): Flags => {
  const opens = replicates === true || (!sendsTo && !receivesFrom);
  return opens ? { sends: true, receives: true } : {};
};

/** Excluded tables narrow whatever is open, by a list or without one. */
const listWith = (
  name: 'sendsTo' | 'receivesFrom',
  rules: readonly Rule[] | undefined,
  { excluded, isOpen }: { excluded: readonly string[]; isOpen: boolean },
): DirectionLists => {
  const open: readonly Rule[] | undefined = isOpen && excluded.length > 0 ? [{}] : undefined;
  const listed = rules ?? open;
  if (!listed) return {};
  return {
    [name]: listed.map((rule) => ({
      ...canonical(rule),
      ...(excluded.length > 0 && { excludeTables: [...(rule.excludeTables ?? []), ...excluded] }),
    })),
  };
};

const canonical = ({ target, source, ...rest }: Rule): Rule => ({
  ...(target !== undefined && { target: spelled(target) ?? target }),
  ...(source !== undefined && { source: spelled(source) ?? source }),
  ...rest,
});

const spelled = (name: string): NodeName | undefined => {
  try {
    return canonicalNodeName(name);
  } catch {
    return undefined;
  }
};
