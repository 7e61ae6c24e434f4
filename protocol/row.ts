/**
 * The state of one row and its join (docs/ARCHITECTURE.md, The row). A row is a join-semilattice: applying the
 * same operations in any order, any number of times, gives the same row. Values are never decoded here.
 *
 *   floor      newest whole-record write, null when a delete is newer
 *   alive      newest write of any kind, null when a delete is newer
 *   dead       newest delete, null when a whole-record write is newer
 *   registers  attribute -> value with its stamp, none older than floor or dead
 *   visible    <=> alive is set
 *
 * The common row was written by one put: `whole`, its bytes as they came. There is one form for each state.
 */
import { compareStamps, newer, type Stamp } from './clock.js';
import { encodeMapOf } from './codec.js';
import { mapEntries } from './skipScan.js';

export interface Register {
  readonly stamp: Stamp;
  /** The attribute's value, encoded. */
  readonly value: Uint8Array;
}

export interface WholeRow {
  readonly kind: 'whole';
  readonly stamp: Stamp;
  /** The record, an encoded map. */
  readonly body: Uint8Array;
}

export interface DeletedRow {
  readonly kind: 'deleted';
  readonly stamp: Stamp;
}

/** At least one register, or a write with no attributes, is newer than the last put or delete. */
export interface PatchedRow {
  readonly kind: 'patched';
  readonly floor: Stamp | null;
  readonly alive: Stamp;
  readonly dead: Stamp | null;
  readonly registers: ReadonlyMap<string, Register>;
}

export type Row = WholeRow | DeletedRow | PatchedRow;

/** One operation on one row, as it stands in a log entry; the stamp is the entry's. */
export type RowChange =
  | { readonly type: 'put'; readonly body: Uint8Array }
  | { readonly type: 'patch'; readonly attributes: readonly EncodedAttribute[] }
  | { readonly type: 'delete' };

export interface EncodedAttribute {
  readonly name: string;
  readonly value: Uint8Array;
}

export const isVisible = (row: Row | undefined): row is WholeRow | PatchedRow =>
  row !== undefined && row.kind !== 'deleted';

/** The row that this change alone would leave. */
export const rowOf = (change: RowChange, stamp: Stamp): Row => {
  switch (change.type) {
    case 'put':
      return { kind: 'whole', stamp, body: change.body };
    case 'delete':
      return { kind: 'deleted', stamp };
    case 'patch': {
      const registers = new Map<string, Register>();
      for (const { name, value } of change.attributes) registers.set(name, { stamp, value });
      return {
        kind: 'patched',
        floor: null,
        alive: stamp,
        dead: null,
        registers: sorted(registers),
      };
    }
    default:
      return change satisfies never;
  }
};

/** Newest stamp in the row: nothing in it is newer. */
export const newestStamp = (row: Row): Stamp => {
  if (row.kind !== 'patched') return row.stamp;
  return newer(row.alive, row.dead) ?? row.alive;
};

/** The least row that contains both: commutative, associative, idempotent. */
export const join = (a: Row, b: Row): Row => {
  if (supersedes(a, b)) return a;
  if (supersedes(b, a)) return b;
  const row = rowFrom(joinComponents(componentsOf(a), componentsOf(b)));
  if (!row) throw new Error('A row holds neither a write nor a delete');
  return row;
};

/** Joins where either side may be missing. */
export const joinOptional = (a: Row | undefined, b: Row): Row => (a === undefined ? b : join(a, b));

/** The visible record as an encoded map; undefined when the row is deleted. */
export const recordOf = (row: Row): Uint8Array | undefined => {
  switch (row.kind) {
    case 'whole':
      return row.body;
    case 'deleted':
      return undefined;
    case 'patched':
      return bodyOf(row.registers);
    default:
      return row satisfies never;
  }
};

/** A put or delete newer than (or the same as) everything in the other row leaves nothing of it. */
const supersedes = (a: Row, b: Row): boolean =>
  a.kind !== 'patched' && compareStamps(a.stamp, newestStamp(b)) >= 0;

/** A row taken apart, as the rules of catching up see it. */
export interface Components {
  readonly floor: Stamp | null;
  readonly alive: Stamp | null;
  readonly dead: Stamp | null;
  readonly registers: ReadonlyMap<string, Register>;
}

const NO_REGISTERS: ReadonlyMap<string, Register> = new Map();

export const componentsOf = (row: Row): Components => {
  switch (row.kind) {
    case 'whole':
      return {
        floor: row.stamp,
        alive: row.stamp,
        dead: null,
        registers: registersOf(row.body, row.stamp),
      };
    case 'deleted':
      return { floor: null, alive: null, dead: row.stamp, registers: NO_REGISTERS };
    case 'patched':
      return row;
    default:
      return row satisfies never;
  }
};

const registersOf = (body: Uint8Array, stamp: Stamp): Map<string, Register> => {
  const registers = new Map<string, Register>();
  for (const { name, start, end } of mapEntries(body))
    registers.set(name, { stamp, value: body.subarray(start, end) });
  return registers;
};

const joinComponents = (a: Components, b: Components): Components => {
  const floor = newer(a.floor, b.floor);
  const dead = newer(a.dead, b.dead);
  const erasedUpTo = newer(floor, dead);
  const registers = new Map<string, Register>();
  for (const side of [a.registers, b.registers])
    for (const [name, register] of side) {
      if (erasedUpTo && compareStamps(register.stamp, erasedUpTo) < 0) continue;
      const held = registers.get(name);
      if (!held || compareStamps(register.stamp, held.stamp) > 0) registers.set(name, register);
    }
  return { floor, alive: newer(a.alive, b.alive), dead, registers };
};

/** The row of these components, without what is redundant: equal states have equal forms. Undefined: no row. */
export const rowFrom = (components: Components): Row | undefined => {
  const { floor, alive, dead, registers } = components;
  if (!alive || (dead && compareStamps(dead, alive) > 0))
    return dead ? { kind: 'deleted', stamp: dead } : undefined;
  if (isOnePut(components)) return { kind: 'whole', stamp: alive, body: bodyOf(registers) };
  const deleteIsNewer = dead !== null && (floor === null || compareStamps(dead, floor) > 0);
  return {
    kind: 'patched',
    floor: deleteIsNewer ? null : floor,
    alive,
    dead: deleteIsNewer ? dead : null,
    registers: sorted(registers),
  };
};

/** What was patched over a put may be gone again, when a copy proves it superseded. */
const isOnePut = ({ floor, alive, registers }: Components): boolean => {
  if (!floor || !alive || compareStamps(floor, alive) !== 0) return false;
  for (const { stamp } of registers.values()) if (compareStamps(stamp, floor) !== 0) return false;
  return true;
};

const bodyOf = (registers: ReadonlyMap<string, Register>): Uint8Array =>
  encodeMapOf(registerEntries(sorted(registers)), registers.size);

const byName = (a: readonly [string, Register], b: readonly [string, Register]): number =>
  a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0;

const sorted = (registers: ReadonlyMap<string, Register>): ReadonlyMap<string, Register> =>
  new Map([...registers].sort(byName));

function* registerEntries(
  registers: ReadonlyMap<string, Register>,
): Generator<[string, Uint8Array]> {
  for (const [name, register] of registers) yield [name, register.value];
}
