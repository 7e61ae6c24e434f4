/**
 * The documents the measurements write: nine fields, about 200 bytes as MessagePack, different in every field.
 * Called by the bench and the bare pipeline, so that both write the same. Made from a seed, without chance.
 */

export interface BenchDocument {
  readonly id: number;
  readonly name: string;
  readonly breed: string;
  readonly owner: string;
  readonly age: number;
  readonly weight: number;
  readonly vaccinated: boolean;
  readonly tags: readonly string[];
  readonly note: string;
}

const NAMES = ['Harper', 'Penny', 'Kato', 'Simon', 'Gemma', 'Yeti', 'Monkey', 'Bode', 'Tucker'];
const BREEDS = ['Great Dane', 'Whippet', 'Mastiff', 'Border Collie', 'Mutt', 'Black Labrador'];
const TAGS = ['indoor', 'outdoor', 'trained', 'shy', 'loud', 'calm', 'adopted', 'senior'];

/** `count` documents with the ids 0 to count - 1; the same seed gives the same documents. */
export function benchDocuments(count: number, seed = 1): BenchDocument[] {
  const next = numbersFrom(seed);
  return Array.from({ length: count }, (_, id) => documentOf(id, next));
}

function documentOf(id: number, next: () => number): BenchDocument {
  const word = (): string => (next() * 4_294_967_296).toString(36);
  const pick = (from: readonly string[]): string => from[Math.floor(next() * from.length)] ?? '';
  return {
    id,
    name: `${pick(NAMES)} ${word()}`,
    breed: pick(BREEDS),
    owner: `${word()}@${word()}.example`,
    age: Math.floor(next() * 16),
    weight: Math.floor(next() * 8_000) / 100,
    vaccinated: next() < 0.5,
    tags: [pick(TAGS), pick(TAGS)],
    note: Array.from({ length: 10 }, word).join(' '),
  };
}

/** A small generator (mulberry32, public domain): numbers in [0, 1). */
function numbersFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
