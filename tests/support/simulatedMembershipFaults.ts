/**
 * What goes wrong in the membership simulation, and how it is put right again. Used by simulatedMembership.ts in the
 * first phase of a run; `heal` begins the second.
 */
import type { AddressBook } from './simulatedMembershipAddresses.js';
import type { LivesWatch } from './simulatedMembershipLives.js';
import type { MembershipNode } from './simulatedMembershipNode.js';
import type { MembershipOperations } from './simulatedMembershipOperations.js';
import type { MembershipFault, MembershipSimulationOptions } from './simulatedMembershipOptions.js';
import type { SimulatedNetwork } from './simulatedNetwork.js';
import type { SimulatedTime } from './simulatedTime.js';
import type { NodeWatch } from './simulatedWatch.js';

/** A node with what looks at it. */
export interface Attendant {
  readonly node: MembershipNode;
  readonly lives: LivesWatch;
  readonly system: NodeWatch;
  readonly data: NodeWatch;
  /** What made actors of it crash, so far. */
  blows: number;
}

/** `cluster` fails for good when `membership` crashes six times in a minute. */
const BLOWS_MAX = 3;

const CRASHED = [
  '/cluster/membership',
  '/cluster/membership',
  '/cluster/peers',
  '/cluster/listener',
] as const;

export class MembershipFaults {
  readonly #time: SimulatedTime;
  readonly #network: SimulatedNetwork;
  readonly #addresses: AddressBook;
  readonly #attendants: readonly Attendant[];
  readonly #options: MembershipSimulationOptions;
  readonly #operations: MembershipOperations;
  readonly #count: (what: string, by?: number) => void;
  readonly #lost: () => void;
  #isHealed = false;

  constructor(parts: {
    time: SimulatedTime;
    network: SimulatedNetwork;
    addresses: AddressBook;
    attendants: readonly Attendant[];
    options: MembershipSimulationOptions;
    operations: MembershipOperations;
    count: (what: string, by?: number) => void;
    /** Disks have lost something. */
    lost: () => void;
  }) {
    this.#time = parts.time;
    this.#network = parts.network;
    this.#addresses = parts.addresses;
    this.#attendants = parts.attendants;
    this.#options = parts.options;
    this.#operations = parts.operations;
    this.#count = parts.count;
    this.#lost = parts.lost;
  }

  /** One fault, if the present state allows it. */
  cause(fault: MembershipFault): void {
    const { random } = this.#time;
    const one = random.pick(this.#attendants);
    const other = random.pick(this.#attendants.filter((attendant) => attendant !== one));
    const a = one.node.name;
    const b = other.node.name;
    this.#time.note(`fault ${fault}`, () => `${a} ${b}`);
    switch (fault) {
      case 'kill':
      case 'powerLoss':
      case 'restart':
      case 'move':
      case 'longAbsence':
        return one.node.isServing ? this.#leave(one, fault) : undefined;
      case 'cut':
        this.#network.cut(a, b);
        return this.#healLater(fault, [[a, b]]);
      case 'partition':
        return this.#part();
      case 'block':
        this.#network.block(a, b);
        return this.#healLater(fault, [[a, b]]);
      case 'slow':
        this.#network.slow(a, b, random.between(50, 1_500));
        return this.#healLater(fault, [[a, b]]);
      case 'breakLink':
        return this.#count(fault, this.#network.breakLinks(a, b));
      case 'diskError':
        return this.#breakDisk(one);
      case 'crashActor':
        return this.#crash(one, random.pick(CRASHED));
      default:
        return fault satisfies never;
    }
  }

  /** An end is on a disk, and `membership` has not acted upon it. */
  onEnd(attendant: Attendant): void {
    if (!this.#isHealed && this.#time.random.chance(this.#options.crashesAtEnds))
      this.#crash(attendant, '/cluster/membership');
  }

  /** Everything works from now on. */
  heal(): void {
    this.#isHealed = true;
    for (const { node } of this.#attendants) {
      node.system.nextFault = null;
      node.data.nextFault = null;
      for (const { node: other } of this.#attendants)
        if (node !== other) this.#network.heal(node.name, other.name);
    }
    for (const { node } of this.#attendants) node.start();
  }

  #leave(attendant: Attendant, fault: MembershipFault): void {
    const { random } = this.#time;
    this.#count(fault);
    const awayMs =
      fault === 'longAbsence' ? random.between(2_000, 8_000) : random.between(1, 1_500);
    const back = (): void => {
      if (!this.#isHealed) this.#time.after(awayMs, () => attendant.node.start());
      else attendant.node.start();
    };
    if (fault === 'restart' || (fault === 'move' && random.chance(0.5)))
      return attendant.node.stop(() => {
        this.#move(attendant, fault);
        back();
      });
    if (fault === 'powerLoss') this.#losePower(attendant);
    else attendant.node.kill();
    this.#move(attendant, fault);
    back();
  }

  #losePower({ node, lives, system, data }: Attendant): void {
    this.#count('batchesLostWithPower', node.losePower());
    for (const watch of [system, data]) watch.reload();
    lives.reload();
    this.#lost();
  }

  /** Not while anybody is being told of the address: what an operator said last would count. */
  #move({ node }: Attendant, fault: MembershipFault): void {
    const { random } = this.#time;
    if (fault !== 'move' || node.process || this.#operations.isBusy(node.name)) return;
    this.#count('moves');
    const free = this.#addresses.free;
    if (free.length > 0 && random.chance(0.3)) this.#addresses.moveTo(node.name, random.pick(free));
    else this.#addresses.move(node.name);
  }

  #breakDisk(attendant: Attendant): void {
    const { node } = attendant;
    if (!node.process || attendant.blows >= BLOWS_MAX) return;
    attendant.blows++;
    const { random } = this.#time;
    const disk = random.chance(0.7) ? node.system : node.data;
    disk.nextFault = random.pick(['refused', 'appliedWithoutAnswer']);
  }

  #crash(attendant: Attendant, path: string): void {
    if (!attendant.node.isServing || attendant.blows >= BLOWS_MAX) return;
    if (!attendant.node.crash(path)) return;
    attendant.blows++;
    this.#count(`crashed ${path}`);
  }

  #part(): void {
    const side = new Set(this.#attendants.filter(() => this.#time.random.chance(0.5)));
    const pairs: [string, string][] = [];
    for (const one of this.#attendants)
      for (const two of this.#attendants)
        if (side.has(one) && !side.has(two)) pairs.push([one.node.name, two.node.name]);
    for (const [a, b] of pairs) this.#network.cut(a, b);
    if (pairs.length > 0) this.#healLater('partition', pairs);
  }

  #healLater(fault: MembershipFault, pairs: readonly [string, string][]): void {
    this.#count(fault);
    this.#time.after(this.#time.random.between(20, 6_000), () => {
      for (const [a, b] of pairs) this.#network.heal(a, b);
    });
  }
}
