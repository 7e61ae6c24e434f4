/**
 * Runs one list of commands in the model and in another world at once, lets both come to rest, and compares what every
 * node holds after each step: rows with all their components, positions, marks, clocks. Used by
 * tests/property/model.test.ts and scripts/compareModel.ts; what the other world is made of is its own business.
 */
import { ModelWorld, type ModelTimes } from './modelWorld.js';
import { isShown, type ModelRow } from './modelRow.js';
import type { Command } from './smallCommands.js';

/** What is compared of a node. */
export interface HeldState {
  readonly rows: Readonly<Record<string, ModelRow>>;
  /** Of each origin, sequence and version of the last entry. */
  readonly vector: Readonly<Record<string, { readonly at: number; readonly version: number }>>;
  readonly marks: Readonly<Record<string, number>>;
  readonly clock: number;
  readonly isCopying: boolean;
}

export interface OtherWorld {
  run(command: Command): void | Promise<void>;
  /** A node in the middle of a copy gives it up, so that others can copy from it. */
  abandon(name: string): void | Promise<void>;
  state(name: string): HeldState | Promise<HeldState>;
  close?(): Promise<void>;
}

export type Step = Command | readonly ['abandon', string];

export interface Difference {
  readonly step: number;
  readonly after: Step;
  readonly text: string;
}

const ROUNDS_MAX = 60;

/** Null: the same from beginning to end, and at the end on all nodes. */
export const differenceIn = async (
  list: { readonly names: readonly string[]; readonly commands: readonly Command[] },
  times: ModelTimes,
  other: OtherWorld,
): Promise<Difference | null> => {
  const model = new ModelWorld(list.names, times);
  let step = 0;
  for (const next of stepsOf(model, list)) {
    step++;
    await doBoth(model, other, next);
    const text = await compared(model, other, namesTouched(list.names, next));
    if (text !== null) return { step, after: next, text };
  }
  const text = (await compared(model, other, list.names)) ?? disagreement(model);
  return text === null ? null : { step, after: ['abandon', ''], text };
};

/** The list shortened as far as it still `fails`. Every command is total, so any may be left out. */
export const shortened = async (
  commands: readonly Command[],
  fails: (commands: readonly Command[]) => Promise<boolean>,
): Promise<readonly Command[]> => {
  let current = commands;
  for (let size = Math.max(1, current.length >> 1); size >= 1; size >>= 1)
    for (let at = 0; at + size <= current.length;) {
      const shorter = [...current.slice(0, at), ...current.slice(at + size)];
      if (await fails(shorter)) current = shorter;
      else at += size;
    }
  return current;
};

const doBoth = async (model: ModelWorld, other: OtherWorld, step: Step): Promise<void> => {
  if (step[0] === 'abandon') {
    model.abandon(step[1]);
    await other.abandon(step[1]);
  } else {
    model.run(step);
    await other.run(step);
  }
};

const namesTouched = (names: readonly string[], step: Step): readonly string[] => {
  const named = names.filter((name) => step[1] === name || step[2] === name);
  return step[0] === 'time' ? [] : named;
};

const compared = async (
  model: ModelWorld,
  other: OtherWorld,
  names: readonly string[],
): Promise<string | null> => {
  for (const name of names) {
    const wanted = textOf(heldBy(model, name));
    const found = textOf(await other.state(name));
    if (found !== wanted) return `${name} holds\n  ${found}\nand the model\n  ${wanted}`;
  }
  return null;
};

const heldBy = (model: ModelWorld, name: string): HeldState => {
  const { rows, vector, marks, clock, copy } = model.node(name).disk;
  return { rows, vector, marks, clock, isCopying: copy !== null };
};

/** Names in order, so that equal states are equal texts. */
const textOf = (state: HeldState): string =>
  JSON.stringify(state, (_name, value: unknown) =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
      : value,
  );

/** All nodes of the model show the same at the end: otherwise there is nothing to compare with. */
const disagreement = (model: ModelWorld): string | null => {
  const shown = [...model.nodes.values()].map(({ disk }) =>
    Object.entries(disk.rows)
      .filter(([, row]) => isShown(row))
      .map(([key, { values }]) => {
        const plain = Object.entries(values).map(([name, { value }]) => `${name}=${value}`);
        return `${key} ${plain.sort().join()}`;
      })
      .sort()
      .join('; '),
  );
  return new Set(shown).size <= 1 ? null : `the model's own nodes differ: ${shown.join(' | ')}`;
};

// ---- coming to rest

/** The commands, then whatever the model needs to come to rest; each is carried out before the next is asked for. */
function* stepsOf(
  model: ModelWorld,
  { names, commands }: { names: readonly string[]; commands: readonly Command[] },
): Generator<Step> {
  yield* commands;
  for (const a of names) for (const b of names) if (a < b) yield ['heal', a, b];
  for (const name of names) yield ['start', name];
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const before = fingerprint(model);
    yield ['time', 4];
    for (const name of names) {
      yield ['trim', name];
      yield ['purge', name];
    }
    for (const a of names) for (const b of names) if (a !== b) yield ['pull', a, b, Infinity];
    for (const name of names) yield* copySteps(model, name, round);
    if (fingerprint(model) !== before) continue;
    for (const name of names) yield ['orphans', name];
    if (fingerprint(model) === before) return;
  }
  throw new Error('The model does not come to rest');
}

function* copySteps(model: ModelWorld, name: string, round: number): Generator<Step> {
  const node = model.node(name);
  const peers = model.linked(node);
  const whole = peers.filter(({ disk }) => disk.copy === null);
  if (node.disk.copy) {
    const source = whole[round % whole.length];
    if (source) yield ['copy', name, source.name, Infinity];
    else if (peers.length > 0 && peers.every((peer) => name < peer.name)) yield ['abandon', name];
    return;
  }
  const origins = new Set(peers.flatMap(({ disk }) => Object.keys(disk.vector)));
  for (const from of origins) {
    if (from === model.presentOrigin(node)) continue;
    const ahead = peers.filter((peer) => model.next(node, peer, from) !== undefined);
    if (ahead.length === 0 || ahead.some((peer) => model.next(node, peer, from))) continue;
    const source = ahead.find((peer) => whole.includes(peer));
    if (!source) continue;
    yield ['copy', name, source.name, Infinity];
    return;
  }
}

const fingerprint = (model: ModelWorld): string =>
  JSON.stringify(
    [...model.nodes.values()].map(({ disk }) => [
      disk.vector,
      disk.rows,
      disk.copy?.after,
      disk.copy?.from,
    ]),
  );
