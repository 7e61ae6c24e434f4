/** The receiving end under random frames keeps its invariants. Single cases: tests/scenario/resync.txt. */
import test from 'ava';
import * as fc from 'fast-check';
import { sequence, version } from '../../protocol/ids.js';
import {
  startResync,
  stepResync,
  type ResyncEvent,
  type ResyncState,
} from '../../protocol/resync.js';
import { originNamed } from '../support/scenario.js';

const ORIGINS = ['a', 'b', 'c'].map(originNamed);
const originAt = (place: number) => ORIGINS[place % ORIGINS.length] ?? originNamed('a');

const frame = fc.array(fc.tuple(fc.nat(2), fc.integer({ min: 1, max: 6 })), { maxLength: 6 });
const frames = fc.array(fc.tuple(frame, fc.nat(500), fc.boolean()), { maxLength: 30 });

test('entries are handed on without a hole, and every byte is credited exactly once', (t) => {
  fc.assert(
    fc.property(frames, (given) => {
      const handedOn = new Map(ORIGINS.slice(0, 2).map((origin) => [origin, 0]));
      let [received, credited, waiting] = [0, 0, 0];
      let state: ResyncState = startResync(1);
      const step = (
        event: ResyncEvent,
        entries: readonly (readonly [number, number])[] = [],
      ): void => {
        const [next, effects] = stepResync(state, event);
        state = next;
        for (const effect of effects) {
          if (effect.type === 'sendAck') credited += effect.creditBytes;
          if (effect.type !== 'apply') continue;
          waiting += effect.bytes;
          for (const place of effect.places) {
            const [number = 0, at = 0] = entries[place] ?? [];
            const before = handedOn.get(originAt(number));
            if (before !== at - 1) throw new Error(`${at} after ${before}`);
            handedOn.set(originAt(number), at);
          }
        }
      };
      step({
        type: 'started',
        wants: [...handedOn.keys()].map((origin) => ({ origin, after: sequence(0), checksum: 0 })),
      });
      const commit = (): void => {
        const positions = [...handedOn].map(([origin, at]) => ({
          origin,
          sequence: sequence(at),
          version: version(1),
        }));
        const bytes = waiting;
        waiting = 0;
        step({ type: 'committed', positions, bytes, problems: [] });
      };
      for (const [entries, bytes, commits] of given) {
        received += bytes;
        const sent = entries.map(([number, at]) => ({
          origin: originAt(number),
          sequence: sequence(at),
        }));
        step({ type: 'entriesReceived', entries: sent, bytes }, entries);
        if (commits) commit();
        if (state.uncommittedBytes !== received - credited) return false;
      }
      commit();
      return credited === received && state.uncommittedBytes === 0;
    }),
    { numRuns: 5_000 },
  );
  t.pass();
});
