/**
 * resync:<database>: the receiving end of a stream. Drives protocol/resync.ts: subscribes, checks frames, hands entries
 * and copied rows to the router, acknowledges what is committed. Spawned by peerConnection for each shared
 * database; never restarts by itself: the peer starts a new one, which begins at the vector.
 */
import { millisecondsOf } from '../protocol/clock.js';
import {
  decodeCopyRows,
  decodeEntries,
  decodeFramePart,
  readDataHeader,
  type FramePart,
  type SentEntry,
  type SentRow,
} from '../protocol/dataFrames.js';
import { readEntryHeader } from '../protocol/entry.js';
import { DEFINITIONS_TABLE } from '../protocol/definitionKey.js';
import { filterReceived, isDefinitionWithin, passesAll } from '../protocol/entryFilter.js';
import { SkeinError } from '../protocol/errors.js';
import {
  EVERYTHING,
  intersection,
  isEverything,
  permits,
  type TableScope,
} from '../protocol/flow.js';
import { FRAME_KIND, type ControlFrame } from '../protocol/frames.js';
import {
  tableName,
  type DatabaseName,
  type NodeName,
  type Sequence,
  type TableName,
  type Version,
} from '../protocol/ids.js';
import { leftOutBy, leftOutByEither, NOTHING_LEFT_OUT, partHeldFrom } from '../protocol/leftOut.js';
import { limits } from '../protocol/limits.js';
import { AHEAD, type Refusal } from '../protocol/refusals.js';
import {
  startResync,
  stepResync,
  type ResyncEffect,
  type ResyncEvent,
  type ResyncState,
} from '../protocol/resync.js';
import type { Actor, ActorContext, ActorRef, ActorSpec } from './kernel/types.js';
import type { Link } from './link.js';
import type { ResyncMessage, ResyncStatus, RouterMessage } from './messages.js';

export interface ResyncParts {
  readonly database: DatabaseName;
  readonly peer: NodeName;
  readonly stream: number;
  /** Tables that are taken from the peer. */
  readonly scope: TableScope;
  /** Nothing at or before that time is wanted, ms since the epoch; null: everything is. */
  readonly startTimeMs: number | null;
  readonly router: ActorRef<RouterMessage>;
  readonly link: Link;
  readonly now: () => number;
}

export const resyncSpec = (parts: ResyncParts): ActorSpec<ResyncMessage> => ({
  name: `resync:${parts.database}`,
  policy: { restart: 'never', whenSpent: 'stop' },
  start: (context) => new Resync(context, parts),
});

class Resync implements Actor<ResyncMessage> {
  readonly #context: ActorContext<ResyncMessage>;
  readonly #parts: ResyncParts;
  #state: ResyncState;
  #entries: readonly SentEntry[] = [];
  #part: { readonly bytes: Buffer; filled: number } | null = null;
  #rows: { readonly rows: readonly SentRow[]; readonly bytes: number } | null = null;
  #rowsReceived = 0;
  #lastReceived: { version: Version; localMs: number } | null = null;
  #copyMovedMs = 0;
  readonly #startedMs: number;

  constructor(context: ActorContext<ResyncMessage>, parts: ResyncParts) {
    this.#context = context;
    this.#parts = parts;
    this.#state = startResync(parts.stream);
    this.#startedMs = parts.now();
    this.#step({ type: 'started', wants: [] });
  }

  readonly receive = (message: ResyncMessage): void => {
    switch (message.type) {
      case 'frame.received':
        return this.#onFrame(message.frame);
      case 'data.received':
        return this.#onData(message.bytes);
      case 'wants.changed':
        return this.#step({ type: 'wantsChanged', wants: message.wants });
      case 'copy.wanted':
        this.#copyMovedMs = this.#parts.now();
        return this.#step({ ...message, type: 'copyWanted' });
      case 'entries.committed':
        return this.#step({ ...message, type: 'committed' });
      case 'rows.committed':
        return this.#step({ type: 'committed', positions: [], bytes: message.bytes, problems: [] });
      case 'refusal.tell':
        return this.#tellRefusal(message.refusal);
      case 'rtt.measured':
        this.#tell({ type: 'peer.measured', peer: this.#parts.peer, rttMs: message.rttMs });
        return;
      case 'resync.status':
        return message.replyTo.ok(this.#status());
      default:
        return message satisfies never;
    }
  };

  stopped(): void {
    const { peer, router, link, stream } = this.#parts;
    router.send({ type: 'peer.unlinked', peer, resync: this.#context.self }, 'control');
    link.sendControl({ kind: 'Unsubscribe', stream, reason: 'the receiving end stopped' });
  }

  phase(): string {
    return this.#state.phase;
  }

  describe(): Record<string, unknown> {
    return {
      stream: this.#parts.stream,
      uncommittedBytes: this.#state.uncommittedBytes,
      origins: Object.fromEntries(this.#state.received),
    };
  }

  #onFrame(frame: ControlFrame): void {
    const { peer } = this.#parts;
    switch (frame.kind) {
      case 'Subscribed':
        this.#step({ type: 'subscribed' });
        return this.#tell({
          type: 'peer.linked',
          peer,
          resync: this.#context.self,
          origin: frame.origin,
          positions: frame.positions,
          whole: frame.whole,
          scope: intersection(this.#parts.scope, frame.scope ?? EVERYTHING),
          inPart: partHeldFrom(frame.inPart),
        });
      case 'Notice':
        return this.#tell({
          type: 'peer.noticed',
          peer,
          positions: frame.positions,
          whole: frame.whole,
          inPart: partHeldFrom(frame.inPart),
        });
      case 'TooOld':
        return this.#tell({ type: 'peer.tooOld', peer, origin: frame.origin });
      case 'CopyBegin':
        return this.#onCopyBegin(frame);
      case 'CopyEnd':
        return this.#onCopyEnd(frame.rows);
      case 'CopyRefused':
        this.#step({ type: 'copyRefused' });
        return this.#tell({ type: 'copy.failed', peer, reason: frame.reason });
      default:
        return undefined;
    }
  }

  #onCopyBegin(frame: Extract<ControlFrame, { kind: 'CopyBegin' }>): void {
    const { kind: _kind, stream: _stream, leftOut = NOTHING_LEFT_OUT, ...begun } = frame;
    this.#rowsReceived = 0;
    this.#step({ type: 'copyBegun' });
    const { peer, scope, startTimeMs } = this.#parts;
    const outside = isEverything(scope) ? NOTHING_LEFT_OUT : leftOutBy(scope);
    this.#tell({
      type: 'copy.begin',
      peer,
      ...begun,
      leftOut: leftOutByEither(leftOut, outside),
      inPart: partHeldFrom(frame.inPart),
      // Where older rows are left out, one that does not come may be one of them.
      ...(startTimeMs !== null && { tables: [], cutOff: namesOf(frame.tables) }),
    });
  }

  /** A copy counts only when every row has arrived. */
  #onCopyEnd(rows: number): void {
    const { peer } = this.#parts;
    const isEarlier = this.#state.awaitsCopy;
    this.#step({ type: 'copyEnded' });
    if (isEarlier) return;
    if (rows === this.#rowsReceived) return this.#tell({ type: 'copy.end', peer, rows });
    const reason = `${this.#rowsReceived} of ${rows} rows arrived`;
    return this.#tell({ type: 'copy.failed', peer, reason });
  }

  #onData(frame: Buffer): void {
    this.#lastReceived = {
      version: this.#lastReceived?.version ?? (0 as Version),
      localMs: this.#parts.now(),
    };
    if (this.#state.uncommittedBytes > CREDIT_OVERDRAWN)
      throw new SkeinError(
        'MALFORMED',
        `The peer sends beyond its credit: ${this.#state.uncommittedBytes} bytes`,
      );
    if (readDataHeader(frame).kind === FRAME_KIND.FramePart)
      return this.#onPart(decodeFramePart(frame));
    return this.#onWhole(frame);
  }

  #onWhole(frame: Buffer): void {
    const { kind } = readDataHeader(frame);
    if (kind === FRAME_KIND.Entries) return this.#receive(decodeEntries(frame), frame.length);
    if (kind === FRAME_KIND.CopyRows) return this.#onRows(frame);
    throw new SkeinError('MALFORMED', `The parts of a frame make one of kind ${kind}`);
  }

  #receive(entries: readonly SentEntry[], bytes: number): void {
    this.#entries = this.#taken(entries);
    const received = entries.map((entry) => {
      const { sequence, version } = readEntryHeader(entry.bytes);
      this.#noteReceived(version);
      return { origin: entry.origin, sequence };
    });
    this.#context.count('entriesReceived', entries.length);
    this.#step({ type: 'entriesReceived', entries: received, bytes: entryBytes(entries, bytes) });
    this.#entries = [];
  }

  /** This end's own rule holds whatever the peer sends. */
  #taken(entries: readonly SentEntry[]): readonly SentEntry[] {
    const filter = { scope: this.#parts.scope, startTimeMs: null };
    if (passesAll(filter)) return entries;
    return entries.map((entry) => {
      const bytes = filterReceived(entry.origin, entry.bytes, filter);
      if (bytes !== entry.bytes) this.#context.count('entriesCut');
      return bytes === entry.bytes ? entry : { ...entry, bytes };
    });
  }

  /** Collects a frame that came in parts; a part out of place means frames were lost: a crash, a new stream. */
  #onPart(part: FramePart): void {
    if (part.offset === 0) this.#part = { bytes: Buffer.allocUnsafe(part.totalBytes), filled: 0 };
    const whole = this.#part;
    const fits =
      whole?.filled === part.offset &&
      whole.bytes.length === part.totalBytes &&
      part.offset + part.bytes.length <= part.totalBytes;
    if (!whole || !fits) throw new SkeinError('MALFORMED', 'A part of a frame is out of place');
    whole.bytes.set(part.bytes, part.offset);
    whole.filled += part.bytes.length;
    if (whole.filled < whole.bytes.length) return;
    this.#part = null;
    this.#onWhole(whole.bytes);
  }

  #onRows(frame: Buffer): void {
    const rows = decodeCopyRows(frame);
    this.#rowsReceived += rows.length;
    this.#copyMovedMs = this.#parts.now();
    this.#context.count('rowsReceived', rows.length);
    this.#rows = { rows: this.#takenRows(rows), bytes: frame.length };
    this.#step({ type: 'rowsReceived', bytes: frame.length });
    this.#rows = null;
  }

  #takenRows(rows: readonly SentRow[]): readonly SentRow[] {
    const { scope } = this.#parts;
    if (isEverything(scope)) return rows;
    const taken = rows.filter((row) => isTaken(row, scope));
    if (taken.length < rows.length) this.#context.count('rowsCut', rows.length - taken.length);
    return taken;
  }

  #applyRows(): void {
    const { peer } = this.#parts;
    if (!this.#rows) return;
    this.#tell({ type: 'copy.apply', peer, from: this.#context.self, ...this.#rows });
  }

  #step(event: ResyncEvent): void {
    const [state, effects] = stepResync(this.#state, event);
    this.#state = state;
    for (const effect of effects) this.#carryOut(effect);
  }

  #carryOut(effect: ResyncEffect): void {
    const { link, stream, peer, database } = this.#parts;
    switch (effect.type) {
      case 'sendSubscribe': {
        const { wants, windowBytes } = effect;
        const { scope, startTimeMs } = this.#parts;
        return link.sendControl({
          kind: 'Subscribe',
          stream,
          database,
          wants,
          windowBytes,
          ...(!isEverything(scope) && { scope }),
          ...(startTimeMs !== null && { startTimeMs }),
        });
      }
      case 'sendWant':
        return link.sendControl({ kind: 'Want', stream, add: effect.add, drop: effect.drop });
      case 'sendAck': {
        const { positions, creditBytes } = effect;
        return link.sendControl({ kind: 'Ack', stream, positions, creditBytes });
      }
      case 'apply':
        return this.#apply(effect.places, effect.bytes);
      case 'sendCopyRequest': {
        const { after, tables } = effect;
        return link.sendControl({
          kind: 'CopyRequest',
          stream,
          after,
          ...(tables && { tables }),
        });
      }
      case 'applyRows':
        return this.#applyRows();
      case 'lost':
        return this.#tell({ type: 'peer.lost', peer, origins: effect.origins });
      default:
        return effect satisfies never;
    }
  }

  #apply(places: readonly number[], bytes: number): void {
    const entries = this.#entries;
    const chosen =
      places.length === entries.length ? entries : places.flatMap((place) => entries[place] ?? []);
    const { startTimeMs } = this.#parts;
    this.#tell({
      type: 'entries.apply',
      from: this.#context.self,
      entries: chosen,
      bytes,
      ...(startTimeMs !== null && { startTimeMs }),
    });
  }

  #tellRefusal({ origin, sequence, version }: Refusal): void {
    const { link, stream } = this.#parts;
    const at = { origin, sequence: sequence as Sequence, version };
    link.sendControl({ kind: 'Refused', stream, ...at, reason: AHEAD });
  }

  /** The router refuses only when its mailbox is full, which credit prevents: then this stream starts anew. */
  #tell(message: RouterMessage): void {
    if (this.#parts.router.send(message) === 'full')
      throw new SkeinError('OVERLOADED', 'The database takes no more messages');
  }

  #noteReceived(version: Version): void {
    this.#lastReceived = { version, localMs: this.#parts.now() };
  }

  /** Rows may be large and come in parts. */
  #movedMs(): number {
    return Math.max(this.#copyMovedMs, this.#part ? (this.#lastReceived?.localMs ?? 0) : 0);
  }

  #status(): ResyncStatus {
    const last = this.#lastReceived;
    return {
      phase: this.#state.phase,
      lastReceivedRemoteMs: last && last.version > 0 ? millisecondsOf(last.version) : null,
      lastReceivedLocalMs: last?.localMs ?? null,
      receiving: this.#state.uncommittedBytes > 0,
      copyMovedMs: this.#state.phase === 'copying' ? this.#movedMs() : null,
      partMovedMs: this.#part && (last?.localMs ?? null),
      startedMs: this.#startedMs,
      nowMs: this.#parts.now(),
    };
  }
}

const namesOf = (tables: readonly { readonly table: string }[]): TableName[] =>
  tables.map(({ table }) => tableName(table));

const isTaken = ({ table, key }: SentRow, scope: TableScope): boolean =>
  table === DEFINITIONS_TABLE ? isDefinitionWithin(key, scope) : permits(scope, table);

/** The sender counts the entries' own bytes against its credit. */
const entryBytes = (entries: readonly SentEntry[], frameBytes: number): number =>
  entries.length === 0 ? frameBytes : entries.reduce((sum, entry) => sum + entry.bytes.length, 0);

/** A window, one transaction begun within it, and the frame that carried it. */
const CREDIT_OVERDRAWN =
  limits.streamWindowBytes + limits.transactionBytesMax + limits.frameBytesMax;
