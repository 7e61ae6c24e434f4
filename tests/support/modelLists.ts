/** The lists of commands that the model is compared with: one for each seed, of the mixes in turn. Runs nothing. */
import { commandsOf, MIXES, type Command } from './smallCommands.js';

export type MixName = keyof typeof MIXES;

export interface CommandList {
  readonly mix: MixName;
  readonly names: readonly string[];
  readonly commands: readonly Command[];
}

export const listOf = (seed: number): CommandList => {
  const mixes = Object.keys(MIXES) as MixName[];
  const mix = mixes[seed % mixes.length] ?? 'all';
  return { mix, ...commandsOf(seed, MIXES[mix]) };
};
