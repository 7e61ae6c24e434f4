/**
 * What bare.ts and the processes it starts (bareProcess.ts) say to each other.
 * Sent over Node's channel between parent and child, outside the measured time.
 */

/** How records become bytes: not at all (ready-made), by msgpack-lite alone, or by protocol/codec.ts. */
export type Encoding = 'readyMade' | 'plain' | 'codec';

interface Work {
  readonly folder: string;
  readonly records: number;
  /** True: every batch is on the disk before the next one begins. */
  readonly sync: boolean;
}

export type BareTask =
  | (Work & { readonly role: 'replica' })
  | (Work & { readonly role: 'origin'; readonly encoding: Encoding; readonly port: number })
  /** LevelDB alone; begins at `{ type: 'begin' }`. */
  | (Work & { readonly role: 'level' });

export interface BareFinished {
  readonly type: 'finished';
  /** Of the measured time only. */
  readonly elapsedMs: number;
  readonly cpuMicroseconds: number;
  /** Of the log entries, which is what the link carries. */
  readonly bytes: number;
}

export type BareReport =
  | { readonly type: 'listening'; readonly port: number }
  | { readonly type: 'prepared' }
  | BareFinished;
