/**
 * Lists of commands for the small world, drawn from a seed in several mixes: each brings about what another would meet
 * too seldom. Used by smallWorld.ts and its tests. Runs nothing.
 */
import type { Write } from './smallDisk.js';
import { SeededRandom } from './simulatedTime.js';

export type Command =
  | readonly ['write', string, readonly Write[]]
  | readonly ['pull' | 'copy', string, string, number]
  | readonly ['purge' | 'trim' | 'orphans' | 'crash' | 'start' | 'sync' | 'power' | 'wipe', string]
  | readonly ['backup', string]
  | readonly ['restore', string, string]
  | readonly ['cut' | 'heal', string, string]
  | readonly ['skew', string, number]
  | readonly ['time', number];

/** How often each kind of command is drawn. */
export type Mix = Readonly<Record<string, number>>;

const BASE = { write: 10, pull: 8, pullAll: 2, skew: 1, crash: 1, start: 2, time: 1 };
const FORGETTING = { purge: 5, purgeAll: 2, trim: 2, longTime: 1.5 };
const POWER = { power: 1, start: 3, sync: 3, orphans: 0.5 };

export const MIXES = {
  copies: { ...BASE, ...FORGETTING, copy: 8, copyRun: 2, cut: 1, heal: 1 },
  power: { ...BASE, ...FORGETTING, ...POWER, copy: 5, copyRun: 2 },
  wipe: { ...BASE, ...FORGETTING, wipe: 1, start: 3, copy: 4, copyRun: 1, orphans: 0.5 },
  halves: {
    write: 14,
    pull: 6,
    pullAll: 3,
    purgeAll: 3,
    purge: 2,
    trim: 1,
    longTime: 1.5,
    split: 1,
    join: 0.6,
    copy: 2,
    copyRun: 1,
    skew: 1,
  },
  all: {
    ...BASE,
    ...FORGETTING,
    ...POWER,
    copy: 6,
    copyRun: 1,
    wipe: 0.3,
    start: 4,
    cut: 1,
    heal: 2,
    split: 0.4,
    join: 0.4,
    backup: 0.3,
    restore: 0.2,
  },
  clocks: { ...BASE, ...FORGETTING, wildSkew: 2, copy: 3, copyRun: 1, split: 0.5, join: 0.5 },
} as const satisfies Record<string, Mix>;

export const commandsOf = (
  seed: number,
  mix: Mix,
): { names: readonly string[]; commands: readonly Command[] } => {
  const random = new SeededRandom(seed);
  const names = ['a', 'b', 'c', 'd', 'e'].slice(0, random.between(2, 5));
  const drawing = new Drawing(random, names);
  const length = random.between(30, 120);
  while (drawing.commands.length < length) drawing.draw(drawn(random, mix));
  return { names, commands: drawing.commands };
};

const drawn = (random: SeededRandom, mix: Mix): string => {
  const weights = Object.entries(mix);
  let left = random.next() * weights.reduce((sum, [, weight]) => sum + weight, 0);
  for (const [verb, weight] of weights) if ((left -= weight) < 0) return verb;
  return 'write';
};

class Drawing {
  readonly commands: Command[] = [];
  readonly #random: SeededRandom;
  readonly #names: readonly string[];
  readonly #keys: readonly string[];
  #value = 0;

  constructor(random: SeededRandom, names: readonly string[]) {
    this.#random = random;
    this.#names = names;
    this.#keys = ['k', 'p', 'q'].slice(0, random.between(1, 3));
  }

  draw(verb: string): void {
    const random = this.#random;
    const a = random.pick(this.#names);
    const b = random.pick(this.#names.filter((name) => name !== a));
    switch (verb) {
      case 'write':
        return this.#add([
          'write',
          a,
          Array.from({ length: random.pick([1, 1, 1, 2]) }, () => this.#write()),
        ]);
      case 'pull':
        return this.#add(['pull', a, b, random.between(1, 4)]);
      case 'pullAll':
        return this.#pairs((one, two) => random.chance(0.8) && this.#add(['pull', one, two, 9]));
      case 'copy':
        return this.#add(['copy', a, b, 1]);
      case 'copyRun':
        return this.#add(...Array.from({ length: 4 }, () => ['copy', a, b, 1] as const));
      case 'purgeAll':
        for (const name of this.#names) if (random.chance(0.7)) this.#add(['purge', name]);
        return;
      case 'skew':
        return this.#add(['skew', a, random.between(-20, 20)]);
      case 'wildSkew':
        return this.#add(['skew', a, random.between(-1_500, 1_500)]);
      case 'time':
        return this.#add(['time', random.between(0, 20)]);
      case 'longTime':
        return this.#add(['time', random.between(2, 10)]);
      case 'split':
        return this.#split();
      case 'join':
        return this.#pairs((one, two) => this.#add(['heal', one, two]));
      case 'restore':
        return this.#add(['restore', a, random.chance(0.6) ? a : b]);
      case 'cut':
      case 'heal':
        return this.#add([verb, a, b]);
      default:
        return this.#add([verb as 'purge', a]);
    }
  }

  #add(...commands: Command[]): void {
    this.commands.push(...commands);
  }

  #pairs(act: (one: string, two: string) => unknown): void {
    for (const one of this.#names) for (const two of this.#names) if (one !== two) act(one, two);
  }

  #split(): void {
    const side = new Set(this.#names.filter(() => this.#random.chance(0.5)));
    this.#pairs((one, two) => side.has(one) !== side.has(two) && this.#add(['cut', one, two]));
  }

  #write(): Write {
    const { pick } = { pick: <T>(list: readonly T[]): T => this.#random.pick(list) };
    const type = pick(['put', 'patch', 'patch', 'patch', 'delete', 'delete'] as const);
    return { key: pick(this.#keys), type, name: pick(['x', 'y']), value: ++this.#value };
  }
}
