/**
 * The small world, whose nodes decide with the machines of protocol/, as a world that can be compared with the model.
 * Used by tests/property/model.test.ts and scripts/compareModel.ts.
 */
import { decode } from '../../protocol/codec.js';
import { componentsOf, type Row } from '../../protocol/row.js';
import type { HeldState, OtherWorld } from './modelComparison.js';
import type { ModelRow } from './modelRow.js';
import type { ModelTimes } from './modelWorld.js';
import { BEGINS_AT, DELETES_KEPT, LOG_KEPT, SmallWorld } from './smallWorld.js';

export const SMALL_TIMES: ModelTimes = {
  ticks: 1,
  beginsAt: BEGINS_AT,
  logKept: LOG_KEPT,
  deletesKept: DELETES_KEPT,
};

export const smallWorld = (names: readonly string[]): OtherWorld => {
  const world = new SmallWorld(names);
  const node = (name: string) => {
    const found = world.nodes.get(name);
    if (!found) throw new Error(`No node ${name}`);
    return found;
  };
  return {
    run: (command) => world.run(command),
    abandon: (name) => node(name).abandonCopy(),
    state: (name): HeldState => {
      const { rows, vector, marks, clock, copy } = node(name).disk;
      return {
        rows: Object.fromEntries([...rows].map(([key, row]) => [key, plainRow(row)])),
        vector: Object.fromEntries(
          [...vector].map(([id, { sequence: at, version }]) => [id, { at, version }]),
        ),
        marks: Object.fromEntries(marks),
        clock,
        isCopying: copy !== null,
      };
    },
  };
};

/** As the model has it; attributes that `isLeftOut` are no business of the model. */
export const plainRow = (
  row: Row,
  isLeftOut: (name: string) => boolean = () => false,
): ModelRow => {
  const { floor, alive, dead, registers } = componentsOf(row);
  const values = [...registers]
    .filter(([name]) => !isLeftOut(name))
    .map(([name, { stamp, value }]) => [name, { stamp, value: Number(decode(value)) }] as const);
  return { floor, alive, dead, values: Object.fromEntries(values) };
};
