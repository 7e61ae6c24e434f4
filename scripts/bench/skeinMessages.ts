/** What the bench and its Skein processes say to one another. */

export type SkeinOrder =
  | {
      readonly type: 'start';
      readonly name: string;
      readonly port: number;
      readonly routes: readonly string[];
      readonly rootPath: string;
      readonly writeAsync: boolean;
      readonly operationsPort?: number;
    }
  | {
      readonly type: 'ingest';
      readonly table: string;
      readonly records: number;
      /** Records in one transaction. */
      readonly batch: number;
    }
  | { readonly type: 'await'; readonly node: string; readonly sequence: number }
  | { readonly type: 'awaitCopy' }
  | { readonly type: 'watch'; readonly table: string; readonly changes: number }
  | { readonly type: 'writeSlowly'; readonly table: string; readonly writes: number }
  | { readonly type: 'usage'; readonly forMs: number }
  | { readonly type: 'stop' };

export type SkeinReport =
  | { readonly type: 'started' }
  | {
      readonly type: 'ingested';
      readonly startedMs: number;
      readonly endedMs: number;
      readonly sequence: number;
      readonly cpuMicroseconds: number;
    }
  | { readonly type: 'reached'; readonly atMs: number; readonly cpuMicroseconds: number }
  | { readonly type: 'copied'; readonly startedMs: number; readonly endedMs: number }
  | { readonly type: 'watched'; readonly seen: readonly (readonly [number, number])[] }
  | { readonly type: 'written'; readonly written: readonly (readonly [number, number])[] }
  | { readonly type: 'usage'; readonly cpuShare: number; readonly rssBytes: number }
  | { readonly type: 'stopped' }
  | { readonly type: 'failed'; readonly reason: string };
