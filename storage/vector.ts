/**
 * Positions in the logs of all origins: what this store has applied, contiguously. Stored in the same
 * batch as the rows they speak of. Called by store.ts and commit.ts.
 */
import {
  sequence as asSequence,
  version as asVersion,
  type OriginId,
  type Sequence,
  type Version,
} from '../protocol/ids.js';
import { allOf, numberOf, PREFIX, readSafeInteger, vectorKey, writeSafeInteger } from './keys.js';
import type { Level, Puts } from './level.js';
import type { Origins } from './origins.js';
import { isIntact, sealed } from './seal.js';

export interface Position {
  /** Highest contiguous sequence applied. */
  readonly sequence: Sequence;
  /** That entry's version. */
  readonly version: Version;
  /** That entry's checksum; 0 when it came with a copy. */
  readonly checksum: number;
  /** First sequence of this origin in the own log: what lies before came with a copy or was trimmed. */
  readonly logStart: Sequence;
}

export type Vector = ReadonlyMap<OriginId, Position>;

const POSITION_BYTES = 28;

/** A position that cannot be read is none: the entries come again. `unreadable` is told of each. */
export const loadVector = async (
  level: Pick<Level, 'iterator'>,
  origins: Origins,
  { unreadable, ...options }: { snapshot?: unknown; unreadable?: () => void } = {},
): Promise<Map<OriginId, Position>> => {
  const vector = new Map<OriginId, Position>();
  const range = { ...allOf(PREFIX.vector), ...options } as ReturnType<typeof allOf>;
  for await (const [key, value] of level.iterator(range))
    if (isIntact(key, value)) vector.set(origins.originOf(numberOf(key)), decodePosition(value));
    else unreadable?.();
  return vector;
};

export const putPosition = (place: {
  batch: Puts;
  origins: Origins;
  origin: OriginId;
  position: Position;
}): void => {
  const { batch, origins, origin, position } = place;
  const key = vectorKey(origins.numberOf(origin));
  batch.put(key, sealed(key, encodePosition(position)));
};

const encodePosition = (position: Position): Buffer => {
  const bytes = Buffer.allocUnsafe(POSITION_BYTES);
  writeSafeInteger(bytes, position.sequence, 0);
  writeSafeInteger(bytes, position.version, 8);
  bytes.writeUInt32BE(position.checksum, 16);
  writeSafeInteger(bytes, position.logStart, 20);
  return bytes;
};

const decodePosition = (bytes: Buffer): Position => ({
  sequence: asSequence(readSafeInteger(bytes, 0)),
  version: asVersion(readSafeInteger(bytes, 8)),
  checksum: bytes.readUInt32BE(16),
  logStart: asSequence(readSafeInteger(bytes, 20)),
});
