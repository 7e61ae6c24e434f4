/**
 * What one seed of the membership simulation means: nodes, who is connected by routes, operations and faults, all spelt
 * out so that a failing seed can be read. Used by simulatedMembership.ts; scripts/simulateMembership.ts prints it.
 */
import type { SimulationOptions } from './simulatedOptions.js';
import { SeededRandom } from './simulatedTime.js';

export const MEMBERSHIP_FAULTS = [
  'kill',
  'powerLoss',
  'restart',
  'move',
  'longAbsence',
  'cut',
  'partition',
  'block',
  'slow',
  'breakLink',
  'diskError',
  'crashActor',
] as const;

export type MembershipFault = (typeof MEMBERSHIP_FAULTS)[number];

export interface MembershipSimulationOptions {
  readonly seed: number;
  readonly nodes: readonly string[];
  /** Node -> those it has routes to, from its first start on. */
  readonly routes: ReadonlyMap<string, readonly string[]>;
  readonly writeAsync: boolean;
  /** How often each node that is apart is added by the one before it at the beginning. */
  readonly gathered: number;
  readonly operations: number;
  readonly operationEveryMs: number;
  /** Share of the operations that remove. */
  readonly removes: number;
  readonly writes: number;
  readonly keys: number;
  readonly faults: readonly MembershipFault[];
  readonly faultEveryMs: number;
  /** How often `membership` crashes as soon as the end of a life is on its disk. */
  readonly crashesAtEnds: number;
  readonly delayMsMax: number;
  readonly turnMsMax: number;
  readonly applyMsMax: number;
  readonly answerMsMax: number;
  readonly slowReads: number;
  readonly limits: SimulationOptions['limits'];
}

export const membershipOptionsOf = (seed: number): MembershipSimulationOptions => {
  const random = new SeededRandom(seed ^ 0x3e3be5);
  const nodes = ['a', 'b', 'c', 'd', 'e'].slice(0, random.pick([2, 3, 3, 4, 4, 5]));
  const quiet = random.chance(0.1);
  const writeAsync = random.chance(0.25);
  return {
    seed,
    nodes,
    routes: routesOf(random, nodes),
    writeAsync,
    gathered: random.pick([0, 0.9, 0.9]),
    operations: random.between(4, 4 * nodes.length),
    operationEveryMs: random.pick([100, 400, 1_500]),
    removes: random.pick([0.15, 0.3, 0.5]),
    writes: random.between(10, 30),
    keys: random.pick([2, 5]),
    faults: quiet ? [] : MEMBERSHIP_FAULTS.filter(() => random.chance(0.5)),
    faultEveryMs: random.pick([300, 1_000, 2_500]),
    crashesAtEnds: quiet ? 0 : random.pick([0, 0.15]),
    delayMsMax: random.pick([0.5, 5, 30]),
    turnMsMax: random.pick([0, 0, 0.2, 3]),
    applyMsMax: random.pick([0.1, 2, 15]),
    answerMsMax: random.pick([0, 1, 10]),
    slowReads: random.pick([0, 0.2]),
    limits: {
      // A copy may hold what its giver loses with the power.
      replayEntriesMax: writeAsync ? 1_000_000 : random.pick([5, 1_000_000]),
      reconnectMsMin: 50,
      reconnectMsMax: 1_000,
      greetingMsMax: 1_000,
      peerOperationMsMax: 3_000,
    },
  };
};

/** Some find one another by routes, in both directions or in one; the others are apart until they are added. */
const routesOf = (random: SeededRandom, nodes: readonly string[]): Map<string, string[]> => {
  const routes = new Map<string, string[]>(nodes.map((name) => [name, []]));
  if (random.chance(0.4)) return routes;
  const routed = nodes.filter(() => random.chance(0.7));
  const oneWay = random.chance(0.2);
  for (const [place, name] of routed.entries())
    routes.set(
      name,
      routed.filter((other, at) => other !== name && (!oneWay || at < place)),
    );
  return routes;
};
