/**
 * Runs one target of fuzzing: draws inputs, hands each to the reader, counts what became of it. Called by scripts/fuzz.ts
 * and the property test. What a reader may throw is said by the target; anything else ends the run with the input.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { drawing, mutated, noise, oneOf, type Draw } from './fuzzBytes.js';

export interface FuzzTarget {
  readonly name: string;
  /** Valid inputs. */
  readonly valid: readonly Buffer[];
  /** Instead of a change of bytes, now and then: an input that is wrong in a way only this format knows. */
  readonly crafted?: (draw: Draw) => Buffer;
  /** Whether the outermost layer of the input is in order. */
  readonly passesHeader: (input: Buffer) => boolean;
  /** Reads the input as the product does. */
  readonly read: (input: Buffer) => unknown;
  /** What kind of refusal that is; undefined: none that may be thrown. */
  readonly refusalOf: (thrown: unknown) => string | undefined;
}

export interface FuzzReport {
  readonly inputs: number;
  /** Changes of valid inputs. */
  readonly mutations: number;
  readonly headers: number;
  readonly accepted: number;
  readonly refusals: ReadonlyMap<string, number>;
  readonly slowestMs: number;
  readonly heapBytesBefore: number;
  readonly heapBytesAfter: number;
}

/** A reader threw what it may not, or changed what everybody shares. */
export class FuzzFailure extends Error {
  override readonly name = 'FuzzFailure';
  readonly input: Buffer;

  constructor(target: string, at: number, input: Buffer, cause: unknown) {
    const text = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
    super(`${target}, input ${at} (${input.length} bytes): ${text}\n${input.toString('hex')}`);
    this.input = input;
  }
}

/** Of ten inputs nine are changes of valid ones, a third of them crafted where a target can; few are as they were. */
const inputOf = (draw: Draw, target: FuzzTarget): { input: Buffer; isMutation: boolean } => {
  const kind = draw(10);
  if (kind === 0) {
    const isNoise = draw(5) > 0;
    return { input: isNoise ? noise(draw) : oneOf(draw, target.valid), isMutation: false };
  }
  if (kind <= 3 && target.crafted) return { input: target.crafted(draw), isMutation: true };
  const [valid, other] = [oneOf(draw, target.valid), oneOf(draw, target.valid)];
  return { input: mutated(draw, valid, other), isMutation: true };
};

/** Throws FuzzFailure at the first input that does harm. The same seed draws the same inputs. */
export const fuzz = async (
  target: FuzzTarget,
  { seed, inputs }: { seed: number; inputs: number },
): Promise<FuzzReport> => {
  const draw = drawing(seed);
  for (const valid of target.valid) await target.read(valid);
  const counts = { mutations: 0, headers: 0, accepted: 0 };
  const refusals = new Map<string, number>();
  let slowestMs = 0;
  const heapBytesBefore = heapBytes();
  for (let at = 0; at < inputs; at++) {
    const { input, isMutation } = inputOf(draw, target);
    if (isMutation) counts.mutations++;
    if (target.passesHeader(input)) counts.headers++;
    const startedMs = performance.now();
    try {
      await target.read(input);
      counts.accepted++;
    } catch (thrown) {
      const refusal = target.refusalOf(thrown);
      if (refusal === undefined) throw new FuzzFailure(target.name, at, input, thrown);
      refusals.set(refusal, (refusals.get(refusal) ?? 0) + 1);
    }
    slowestMs = Math.max(slowestMs, performance.now() - startedMs);
    const polluted = Object.keys(Object.prototype);
    if (polluted.length > 0) {
      const cause = `Object.prototype has got ${polluted.join(', ')}`;
      throw new FuzzFailure(target.name, at, input, cause);
    }
  }
  return { inputs, ...counts, refusals, slowestMs, heapBytesBefore, heapBytesAfter: heapBytes() };
};

/** After collecting garbage. */
const heapBytes = (): number => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  collect();
  return process.memoryUsage().heapUsed;
};
