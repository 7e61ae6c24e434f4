/**
 * Absence means deleted: what a row still holds although the other side of a copy, which knows of it, does not
 * (docs/ARCHITECTURE.md, Catching up). Judged for each component, in both directions. Called by storage/copiedRows.ts.
 * Must not be asked about tables that one side holds only in part: there, absence says nothing.
 */
import { compareStamps, newer, type Stamp } from './clock.js';
import type { OriginId, Version } from './ids.js';
import { componentsOf, rowFrom, type Components, type Register, type Row } from './row.js';

/** Whether a vector contains the operation with this stamp. */
export type Covers = (stamp: Stamp) => boolean;

/** Within an origin versions rise with sequences, so the version of the last entry says it all. */
export const coveredBy =
  (vector: ReadonlyMap<OriginId, { readonly version: Version }>): Covers =>
  ({ origin, version }) =>
    (vector.get(origin)?.version ?? -1) >= version;

/**
 * `row` without the components that `covers` (the other side's vector) contains and `other` (its row) no longer holds:
 * they are superseded. A delete always stays. The same object when nothing goes; undefined when nothing is left.
 */
export const withoutSuperseded = (
  row: Row,
  covers: Covers,
  other: Row | undefined,
): Row | undefined => {
  if (row === other || row.kind === 'deleted') return row;
  if (row.kind === 'whole' && !covers(row.stamp)) return row;
  const mine = componentsOf(row);
  const left = leftOf(mine, other ? componentsOf(other) : NOTHING, covers);
  const isAllLeft =
    left.floor === mine.floor &&
    left.alive === mine.alive &&
    left.registers.size === mine.registers.size;
  return isAllLeft ? row : rowFrom(left);
};

/**
 * `row` without the components of these stamps: they are of origins that are not taken. Undefined: nothing is left.
 * `keyAttribute` stays, since every write of a row says the same of it.
 */
export const withoutUnwanted = (
  row: Row,
  isUnwanted: Covers,
  keyAttribute: string | null,
): Row | undefined => {
  if (row.kind !== 'patched') return isUnwanted(row.stamp) ? undefined : row;
  const wanted = (stamp: Stamp | null): Stamp | null => (stamp && isUnwanted(stamp) ? null : stamp);
  const registers = new Map([...row.registers].filter(([, { stamp }]) => !isUnwanted(stamp)));
  const floor = wanted(row.floor);
  const dead = wanted(row.dead);
  const alive = wanted(row.alive) ?? newestWrite(floor, registers);
  const isAll =
    floor === row.floor &&
    dead === row.dead &&
    alive === row.alive &&
    registers.size === row.registers.size;
  if (isAll) return row;
  const key = keyAttribute === null ? undefined : row.registers.get(keyAttribute);
  const stamp = floor ?? alive;
  if (keyAttribute !== null && key && stamp && !registers.has(keyAttribute))
    registers.set(keyAttribute, { ...key, stamp });
  return rowFrom({ floor, alive, dead, registers });
};

const NOTHING: Components = { floor: null, alive: null, dead: null, registers: new Map() };

const leftOf = (mine: Components, theirs: Components, covers: Covers): Components => {
  const leaves = (stamp: Stamp | null, held: Stamp | null): Stamp | null =>
    stamp && covers(stamp) && !(held && compareStamps(held, stamp) >= 0) ? null : stamp;
  const registers = new Map<string, Register>();
  for (const [name, register] of mine.registers)
    if (leaves(register.stamp, theirs.registers.get(name)?.stamp ?? null))
      registers.set(name, register);
  const floor = leaves(mine.floor, newer(theirs.floor, theirs.dead));
  const alive = leaves(mine.alive, theirs.alive) ?? newestWrite(floor, registers);
  return { floor, alive, dead: mine.dead, registers };
};

/** An older write that is still news keeps the record alive when the newest one is known to be superseded. */
const newestWrite = (
  floor: Stamp | null,
  registers: ReadonlyMap<string, Register>,
): Stamp | null => {
  let newest = floor;
  for (const { stamp } of registers.values()) newest = newer(newest, stamp);
  return newest;
};
