/**
 * What goes wrong in a simulated cluster, and how it is put right again. Each fault counts what it did. Used by
 * simulatedCluster.ts in the first phase of a run; `heal` begins the second.
 */
import type { History } from './simulatedHistory.js';
import type { SimulatedNetwork } from './simulatedNetwork.js';
import type { SimulatedNode } from './simulatedNode.js';
import type { Fault, SimulationOptions } from './simulatedOptions.js';
import type { SimulatedTime } from './simulatedTime.js';
import type { NodeWatch } from './simulatedWatch.js';

export interface Member {
  readonly node: SimulatedNode;
  readonly watch: NodeWatch;
  /** False before its first start. */
  hasJoined: boolean;
  diskErrors: number;
}

/** A router may crash five times in ten seconds; fewer leave it alive. */
const DISK_ERRORS_MAX = 3;

export class SimulatedFaults {
  readonly #time: SimulatedTime;
  readonly #network: SimulatedNetwork;
  readonly #members: readonly Member[];
  readonly #options: SimulationOptions;
  readonly #history: History;
  readonly #count: (what: string, by?: number) => void;
  /** Operations that may be gone for good: a disk lost them when no other had them. */
  readonly lost = new Set<string>();
  #isHealed = false;

  constructor(parts: {
    time: SimulatedTime;
    network: SimulatedNetwork;
    members: readonly Member[];
    options: SimulationOptions;
    history: History;
    count: (what: string, by?: number) => void;
  }) {
    this.#time = parts.time;
    this.#network = parts.network;
    this.#members = parts.members;
    this.#options = parts.options;
    this.#history = parts.history;
    this.#count = parts.count;
  }

  /** One fault, if the present state allows it. */
  cause(fault: Fault): void {
    const { random } = this.#time;
    const member = random.pick(this.#members);
    const other = random.pick(this.#members.filter((one) => one !== member));
    const a = member.node.name;
    const b = other.node.name;
    this.#time.note(`fault ${fault}`, () => `${a} ${b}`);
    switch (fault) {
      case 'kill':
        return this.#whenUp(member, fault, () =>
          this.#restartLater(member, () => member.node.kill()),
        );
      case 'restart':
        return this.#whenUp(member, fault, () => this.#stopAndStart(member));
      case 'powerLoss':
        return this.#whenUp(member, fault, () => this.#losePower(member));
      case 'wipe':
        return this.#whenUp(member, fault, () => this.#erase(member));
      case 'replace':
        return this.#replace(member);
      case 'diskError':
        return this.#breakDisk(member);
      case 'breakLink':
        return this.#count(fault, this.#network.breakLinks(a, b));
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
      case 'clockJump':
        member.node.skewMs = random.between(-this.#options.skewMsMax, this.#options.skewMsMax);
        return this.#count(fault);
      default:
        return fault satisfies never;
    }
  }

  /** A copy has begun: now and then, one of its ends or its link goes. */
  disturbCopy(from: string, to: string): void {
    const { random } = this.#time;
    if (this.#isHealed || !random.chance(this.#options.disturbedCopies)) return;
    this.#time.after(random.next() * 4 * this.#options.delayMsMax, () => {
      if (this.#isHealed) return;
      this.#count('copiesDisturbed');
      const end = this.#members.find(({ node }) => node.name === random.pick([from, to]));
      if (end?.node.router && random.chance(0.5)) this.#restartLater(end, () => end.node.kill());
      else this.#network.breakLinks(from, to);
    });
  }

  /** Everything works from now on, and every clock is right. */
  heal(): void {
    this.#isHealed = true;
    for (const one of this.#members) {
      one.node.skewMs = 0;
      one.node.disk.nextFault = null;
      one.node.disk.isFailing = false;
      for (const two of this.#members)
        if (one !== two) this.#network.heal(one.node.name, two.node.name);
    }
    for (const member of this.#members) this.start(member);
  }

  start(member: Member): void {
    member.hasJoined = true;
    member.node.start();
  }

  #whenUp(member: Member, fault: Fault, act: () => void): void {
    if (!member.node.isUp || !member.node.router) return;
    this.#count(fault);
    act();
  }

  #restartLater(member: Member, end: () => void): void {
    end();
    this.#time.after(this.#time.random.between(1, 1_500), () => this.start(member));
  }

  #stopAndStart(member: Member): void {
    const { random } = this.#time;
    member.node.stop(() => {
      if (this.#isHealed) return this.start(member);
      this.#time.after(random.between(1, 800), () => {
        this.start(member);
        if (this.#options.faults.includes('powerLoss') && random.chance(0.5))
          this.#time.after(random.between(5, 500), () => this.#losePowerSoon(member));
      });
    });
  }

  /** Soon after a clean stop: the mark of that stop must not have outlived what was written since. */
  #losePowerSoon(member: Member): void {
    if (!this.#isHealed) this.#whenUp(member, 'powerLoss', () => this.#losePower(member));
  }

  #losePower(member: Member): void {
    this.#restartLater(member, () => {
      this.#count('batchesLostWithPower', member.node.losePower());
      member.watch.reload();
      this.#noteLost();
    });
  }

  #erase(member: Member): void {
    this.#restartLater(member, () => {
      member.node.kill();
      member.node.disk.erase();
      member.watch.reload();
      this.#noteLost();
    });
  }

  /** A new disk for a node of which nothing can be lost: all others have everything it has. */
  #replace(member: Member): void {
    const isSpare = this.#members.every(
      ({ node, watch, hasJoined }) =>
        hasJoined &&
        node.isUp &&
        watch.isExact &&
        [...member.watch.vector].every(([origin, sequence]) => watch.covers(origin, sequence)),
    );
    if (!isSpare) return;
    this.#count('replace');
    this.#erase(member);
  }

  #breakDisk(member: Member): void {
    if (!member.node.isUp || member.diskErrors >= DISK_ERRORS_MAX) return;
    member.diskErrors++;
    member.node.disk.nextFault = this.#time.random.pick(['refused', 'appliedWithoutAnswer']);
  }

  /** The disk of one node takes nothing for a while, and then again. */
  failDisk(forMs: number): void {
    const member = this.#time.random.pick(this.#members);
    if (this.#isHealed || !member.node.isUp || member.node.disk.isFailing) return;
    this.#count('disksFailing');
    member.node.disk.isFailing = true;
    this.#time.after(forMs, () => {
      member.node.disk.isFailing = false;
    });
  }

  #part(): void {
    const side = new Set(this.#members.filter(() => this.#time.random.chance(0.5)));
    const pairs: [string, string][] = [];
    for (const one of this.#members)
      for (const two of this.#members)
        if (side.has(one) && !side.has(two)) pairs.push([one.node.name, two.node.name]);
    for (const [a, b] of pairs) this.#network.cut(a, b);
    if (pairs.length > 0) this.#healLater('partition', pairs);
  }

  #healLater(fault: Fault, pairs: readonly [string, string][]): void {
    this.#count(fault);
    this.#time.after(this.#time.random.between(20, 3_000), () => {
      for (const [a, b] of pairs) this.#network.heal(a, b);
    });
  }

  #noteLost(): void {
    for (const { origin, sequence, operation } of this.#history.entries())
      if (!this.#members.some(({ watch }) => watch.covers(origin, sequence)))
        this.lost.add(operation);
  }
}
