/**
 * Reads the logs of a store back from their ends when it is opened: farther than LevelDB's own journal can reach, so that
 * a batch which was lost in the middle of it, with rows, entry and position, leaves a gap that is seen. Called by
 * store.ts; changes nothing.
 */
import { isIntactEntry, readEntryHeader } from '../protocol/entry.js';
import { SkeinError } from '../protocol/errors.js';
import type { OriginId } from '../protocol/ids.js';
import { limits } from '../protocol/limits.js';
import { logFrom, logKey, sequenceOf } from './keys.js';
import type { Level } from './level.js';
import type { Origins } from './origins.js';
import type { Position, Vector } from './vector.js';

export interface LogFault {
  readonly origin: OriginId;
  /** The newest entry that cannot be read, or is not there. */
  readonly sequence: number;
  /** It is not there: the batch that brought it is lost, and with it what else was in it. */
  readonly isMissing: boolean;
}

/** At most one fault per origin, the newest. Looks at about `limits.logCheckBytes`, the logs that moved last first. */
export const checkLogs = async (
  level: Pick<Level, 'iterator'>,
  origins: Origins,
  vector: Vector,
): Promise<LogFault[]> => {
  const faults: LogFault[] = [];
  const newestFirst = [...vector].sort(([, a], [, b]) => b.version - a.version);
  let bytesLeft: number = limits.logCheckBytes;
  for (const [origin, position] of newestFirst) {
    if (bytesLeft <= 0) break;
    const number = origins.knownNumberOf(origin);
    if (number === undefined) continue;
    const checked = await checkLog(level, { origin, number, position, bytesMax: bytesLeft });
    bytesLeft -= checked.bytes;
    if (checked.fault) faults.push(checked.fault);
  }
  return faults;
};

/** Whether these bytes are that entry. */
export const isEntryAt = (origin: OriginId, sequence: number, bytes: Buffer): boolean => {
  try {
    const header = readEntryHeader(bytes);
    return (
      header.sequence === sequence &&
      header.byteLength === bytes.length &&
      isIntactEntry(origin, bytes)
    );
  } catch (error) {
    if (error instanceof SkeinError && error.code === 'MALFORMED') return false;
    throw error;
  }
};

const checkLog = async (
  level: Pick<Level, 'iterator'>,
  log: { origin: OriginId; number: number; position: Position; bytesMax: number },
): Promise<{ bytes: number; fault?: LogFault }> => {
  const { origin, number, position, bytesMax } = log;
  let expected: number = position.sequence;
  let bytes = 0;
  const { gte } = logFrom(number, position.logStart);
  const range = { gte, lt: logKey(number, position.sequence + 1), reverse: true };
  for await (const [key, entry] of level.iterator(range)) {
    const sequence = sequenceOf(key);
    if (sequence !== expected) break;
    if (!isEntryAt(origin, sequence, entry) || !isLastOf(position, sequence, entry))
      return { bytes, fault: { origin, sequence, isMissing: false } };
    expected--;
    bytes += entry.length;
    if (bytes >= bytesMax) return { bytes };
  }
  if (expected < position.logStart) return { bytes };
  return { bytes, fault: { origin, sequence: expected, isMissing: true } };
};

/** The position says which entry is its last. */
const isLastOf = (position: Position, sequence: number, entry: Buffer): boolean =>
  sequence !== position.sequence ||
  position.checksum === 0 ||
  position.checksum === readEntryHeader(entry).checksum;
