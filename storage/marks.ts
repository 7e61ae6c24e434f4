/**
 * Marks on the disk: per origin, the version of the newest delete that was purged. Moved in the same batch as the
 * purge, so that nothing is ever forgotten without a trace of it. Called by store.ts, commit.ts and snapshot.ts.
 */
import { version as asVersion, type OriginId, type Version } from '../protocol/ids.js';
import { allOf, markKey, numberOf, PREFIX, readSafeInteger, writeSafeInteger } from './keys.js';
import type { Level, Puts } from './level.js';
import type { Origins } from './origins.js';
import { sealed, unsealed } from './seal.js';

export const loadMarks = async (
  level: Pick<Level, 'iterator'>,
  origins: Origins,
  options: { snapshot?: unknown } = {},
): Promise<Map<OriginId, Version>> => {
  const marks = new Map<OriginId, Version>();
  const range = { ...allOf(PREFIX.mark), ...options } as ReturnType<typeof allOf>;
  for await (const [key, value] of level.iterator(range))
    marks.set(
      origins.originOf(numberOf(key)),
      asVersion(readSafeInteger(unsealed(key, value, 'A mark'), 0)),
    );
  return marks;
};

export const putMark = (place: {
  batch: Puts;
  origins: Origins;
  origin: OriginId;
  version: Version;
}): void => {
  const bytes = Buffer.allocUnsafe(8);
  writeSafeInteger(bytes, place.version, 0);
  const key = markKey(place.origins.numberOf(place.origin));
  place.batch.put(key, sealed(key, bytes));
};
