/**
 * What a small node has on its disk, and an image of it to be put back later. Used by smallNode.ts. Plain values only.
 */
import type { Covers } from '../../protocol/absence.js';
import type { CopiedPosition, CopyCheckpoint } from '../../protocol/copyCheckpoint.js';
import { version, type OriginId, type Version } from '../../protocol/ids.js';
import type { OwedCopy } from '../../protocol/owed.js';
import type { Row, RowChange } from '../../protocol/row.js';

export interface Write {
  readonly key: string;
  readonly type: 'put' | 'patch' | 'delete';
  readonly name: string;
  readonly value: number;
}

export interface SmallEntry {
  readonly origin: OriginId;
  readonly sequence: number;
  readonly version: Version;
  readonly changes: ReadonlyMap<string, RowChange>;
}

export interface Log {
  start: number;
  entries: SmallEntry[];
}

export interface Snapshot {
  readonly rows: ReadonlyMap<string, Row>;
  readonly covers: Covers;
  readonly theirBlindSpot: Version;
  readonly myBlindSpot: Version;
}

export interface Copy {
  checkpoint: CopyCheckpoint;
  after: string;
  source: string;
  snapshot: Snapshot | null;
  first: Covers | null;
}

/** What is on its disk. */
export interface Disk {
  rows: Map<string, Row>;
  vector: Map<OriginId, CopiedPosition>;
  logs: Map<OriginId, Log>;
  marks: Map<OriginId, Version>;
  clock: Version;
  copy: Copy | null;
  copies: number;
  owed: OwedCopy[];
  dropped: Map<number, Set<string>>;
}

export const emptyDisk = (): Disk => ({
  rows: new Map(),
  vector: new Map(),
  logs: new Map(),
  marks: new Map(),
  clock: version(0),
  copy: null,
  copies: 0,
  owed: [],
  dropped: new Map(),
});

/** A copy that later changes do not touch. */
export const imageOf = (disk: Disk): Disk => ({
  rows: new Map(disk.rows),
  vector: new Map(disk.vector),
  logs: new Map([...disk.logs].map(([id, log]) => [id, { ...log }])),
  marks: new Map(disk.marks),
  clock: disk.clock,
  copy: disk.copy && { ...disk.copy, snapshot: null },
  copies: disk.copies,
  owed: [...disk.owed],
  dropped: new Map(disk.dropped),
});
