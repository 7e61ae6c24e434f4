/**
 * What one seed means: nodes, links, limits, load and faults, all spelt out so that a failing seed can be read. Used by
 * simulatedCluster.ts; scripts/simulate.ts prints it. Which faults a seed knows is itself random: some bugs only
 * show where others do not disturb.
 */
import { limits } from '../../protocol/limits.js';
import { SeededRandom } from './simulatedTime.js';

export const FAULTS = [
  'kill',
  'restart',
  'powerLoss',
  'wipe',
  'replace',
  'diskError',
  'breakLink',
  'cut',
  'partition',
  'block',
  'slow',
  'clockJump',
] as const;

export type Fault = (typeof FAULTS)[number];

export interface SimulationOptions {
  readonly seed: number;
  readonly nodes: readonly string[];
  readonly topology: 'mesh' | 'chain' | 'star';
  /** `copies`: what is durable stays, and empty nodes copy. `losses`: disks lose data, and nobody copies. */
  readonly mode: 'copies' | 'losses';
  readonly writeAsync: boolean;
  readonly keys: number;
  readonly dynamicTable: boolean;
  readonly writes: number;
  readonly writeEveryMs: number;
  /** When load and faults begin; before, nodes find one another. */
  readonly loadFromMs: number;
  /** How often a copy that begins is disturbed at once. */
  readonly disturbedCopies: number;
  readonly faults: readonly Fault[];
  readonly faultEveryMs: number;
  /** Nodes that start later, on an empty disk. */
  readonly joinLater: readonly string[];
  readonly delayMsMax: number;
  readonly turnMsMax: number;
  readonly applyMsMax: number;
  readonly answerMsMax: number;
  readonly slowReads: number;
  readonly clockStepMs: number;
  readonly skewMsMax: number;
  readonly maxClockSkewMs: number;
  /** How long logs and deletes are kept: for ever, or so short that absences outlast it. */
  readonly auditRetentionMs: number;
  readonly tombstoneRetentionMs: number;
  /** Tables whose records expire, and after how many seconds. */
  readonly expiring: readonly string[];
  readonly expirationSeconds: number;
  /** When disks fail for a while, and for how long. */
  readonly diskFailures: readonly { readonly atMs: number; readonly forMs: number }[];
  readonly limits: Readonly<Partial<Record<keyof typeof limits, number>>>;
}

export const optionsOf = (seed: number): SimulationOptions => {
  const random = new SeededRandom(seed ^ 0x5eed);
  const nodes = ['a', 'b', 'c', 'd', 'e'].slice(0, random.pick([2, 2, 2, 2, 3, 3, 3, 4, 4, 5]));
  const mode = random.pick(['copies', 'losses'] as const);
  const possible = FAULTS.filter((fault) => isPossible(fault, mode, nodes.length));
  const quiet = random.chance(0.1);
  const diskFailures = quiet ? [] : diskFailuresOf(new SeededRandom(seed ^ 0xd15c));
  return {
    diskFailures,
    seed,
    nodes,
    mode,
    topology: nodes.length === 2 ? 'mesh' : random.pick(['mesh', 'mesh', 'chain', 'star'] as const),
    writeAsync: random.chance(0.5),
    keys: random.pick(mode === 'copies' ? [1, 2, 3, 8, 30] : [1, 1, 2, 3, 5, 8]),
    dynamicTable: random.chance(0.2),
    writes: random.between(10, 50),
    writeEveryMs: random.pick([1, 10, 40, 150]),
    loadFromMs: random.pick([0, 150, 400]),
    disturbedCopies: quiet ? 0 : random.pick([0, 0.3]),
    faults: quiet ? [] : possible.filter(() => random.chance(0.4)),
    faultEveryMs: random.pick([60, 200, 600]),
    joinLater: nodes.slice(1).filter(() => mode === 'copies' && random.chance(0.4)),
    delayMsMax: random.pick([0.5, 5, 30]),
    turnMsMax: random.pick([0, 0, 0.2, 3]),
    applyMsMax: random.pick([0.1, 2, 15]),
    answerMsMax: random.pick([0, 1, 10]),
    slowReads: random.pick([0, 0.2, 0.9]),
    clockStepMs: random.pick([1, 1, 20, 500, 5_000]),
    skewMsMax: random.pick([0, 0, 5, 300, 4_000]),
    maxClockSkewMs: random.pick([1_500, 60_000]),
    ...clocksOf(new SeededRandom(seed ^ 0xc10c)),
    ...retentionOf(new SeededRandom(seed ^ 0xf0e6e7)),
    ...expiryOf(new SeededRandom(seed ^ 0xe4d)),
    limits: limitsOf(random, mode),
  };
};

/** The same with at least 200 writes, and at least as many faults of every possible kind as make five in that time. */
export const longOptionsOf = (seed: number): SimulationOptions => {
  const random = new SeededRandom(seed ^ 0x10e6);
  const options = optionsOf(seed);
  const possible = FAULTS.filter((fault) => isPossible(fault, options.mode, options.nodes.length));
  return {
    ...options,
    writes: random.between(200, 260),
    writeEveryMs: random.pick([10, 20, 40]),
    faults: possible.filter((fault) => options.faults.includes(fault) || random.chance(0.5)),
    faultEveryMs: random.pick([60, 200, 300]),
  };
};

/** Now and then clocks differ by far more than is accepted. */
const clocksOf = (
  random: SeededRandom,
): Partial<Pick<SimulationOptions, 'skewMsMax' | 'maxClockSkewMs'>> =>
  random.chance(0.15) ? { skewMsMax: random.pick([8_000, 25_000]), maxClockSkewMs: 1_500 } : {};

const FOR_EVER_MS = 864_000_000;

/** Random numbers of its own: what else a seed means stays. */
const retentionOf = (
  random: SeededRandom,
): Pick<SimulationOptions, 'auditRetentionMs' | 'tombstoneRetentionMs'> => {
  if (random.chance(0.5))
    return { auditRetentionMs: FOR_EVER_MS, tombstoneRetentionMs: FOR_EVER_MS };
  const auditRetentionMs = random.pick([30, 150, 1_000]);
  return { auditRetentionMs, tombstoneRetentionMs: auditRetentionMs * random.pick([1, 3, 10]) };
};

/** Random numbers of its own, for the same reason. */
const expiryOf = (
  random: SeededRandom,
): Pick<SimulationOptions, 'expiring' | 'expirationSeconds'> => ({
  expiring: random.pick([[], [], [], ['t1'], ['t2'], ['t1', 't2']]),
  expirationSeconds: random.pick([0.02, 0.1, 0.5, 3, 100]),
});

/** So too. Two at most: a router that crashes often enough for other reasons stays down. */
const diskFailuresOf = (random: SeededRandom): SimulationOptions['diskFailures'] =>
  Array.from({ length: random.pick([0, 0, 0, 1, 2]) }, (_, place) => ({
    atMs: 15_000 * place + random.between(1, 2_000),
    forMs: random.pick([5, 100, 1_000, 4_000]),
  }));

export const forgets = ({ tombstoneRetentionMs }: SimulationOptions): boolean =>
  tombstoneRetentionMs < FOR_EVER_MS;

const isPossible = (fault: Fault, mode: SimulationOptions['mode'], nodes: number): boolean => {
  if (fault === 'powerLoss' || fault === 'wipe') return mode === 'losses';
  if (fault === 'replace') return mode === 'copies';
  return fault !== 'partition' || nodes > 2;
};

/** Small enough that a few dozen writes reach them. */
const limitsOf = (
  random: SeededRandom,
  mode: SimulationOptions['mode'],
): SimulationOptions['limits'] => ({
  replayEntriesMax: mode === 'copies' ? random.pick([0, 1, 5]) : 1_000_000,
  frameBytesTarget: random.pick([100, 400, limits.frameBytesTarget]),
  streamWindowBytes: random.pick([300, 2_000, limits.streamWindowBytes]),
  socketBufferedBytesMax: random.pick([250, 2_000, limits.socketBufferedBytesMax]),
  framePartBytes: random.pick([80, 150, limits.framePartBytes]),
  logTailBytes: random.pick([0, 400, limits.logTailBytes]),
  readBatchRows: random.pick([4, 12, limits.readBatchRows]),
  reconnectMsMin: 50,
  reconnectMsMax: 1_000,
});

/** Puts other limits in place for one run; returns how to put them back. */
export const useLimits = (changed: SimulationOptions['limits']): (() => void) => {
  const shared = limits as unknown as Record<string, number>;
  const before = { ...limits };
  Object.assign(shared, changed);
  return () => Object.assign(shared, before);
};
