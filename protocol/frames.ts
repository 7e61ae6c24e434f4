/**
 * The frames of one link (`skein.replication.v1`): kinds, shapes, bytes. Control frames are one kind byte and a
 * MessagePack map checked against a schema; data frames (Entries, FramePart, CopyRows) are laid out by hand.
 * Kinds are append-only and never reused. Shapes and meaning: docs/PROTOCOL.md. Called by the link actors.
 */
import { decode, encode } from './codec.js';
import { messageOf, SkeinError } from './errors.js';
import type { TableScope } from './flow.js';
import { controlSchemas } from './frameSchemas.js';
import type { DatabaseName, Incarnation, NodeName, OriginId, Sequence, Version } from './ids.js';
import type { LeftOut, PartHeldOnWire } from './leftOut.js';
import type { MemberFact } from './membership.js';
import { compileSchema } from './validate.js';

export const PROTOCOL_VERSION = 1;
export const SUBPROTOCOL = 'skein.replication.v1';

/** First byte of every frame. Append only. */
export const FRAME_KIND = {
  Hello: 1,
  Welcome: 2,
  Bye: 3,
  Ping: 4,
  Pong: 5,
  Gossip: 6,
  Subscribe: 7,
  Subscribed: 8,
  Unsubscribe: 9,
  Want: 10,
  Notice: 11,
  TooOld: 12,
  Ack: 13,
  CopyRequest: 14,
  CopyBegin: 15,
  CopyEnd: 16,
  CopyRefused: 17,
  Operation: 18,
  OperationResult: 19,
  Refused: 20,
  Entries: 32,
  FramePart: 33,
  CopyRows: 34,
} as const;

/** Who is there: Hello from the side that dialled, Welcome from the other, same content. */
export interface Greeting {
  /** Lowest and highest protocol version spoken. */
  readonly versions: { readonly min: number; readonly max: number };
  readonly node: NodeName;
  readonly incarnation: Incarnation;
  /** New for each start of the process; larger is later. */
  readonly process: string;
  /** Wall clock of the sender, ms: shown when clocks disagree. */
  readonly nowMs: number;
  /** The sender's hybrid clock, so that a new node with a slow clock writes after what it joins. */
  readonly clock: Version;
  readonly capabilities: readonly string[];
  readonly databases: readonly DatabaseName[];
}

/** What a subscriber wants of an origin: everything after that sequence. */
export interface Want {
  readonly origin: OriginId;
  readonly after: Sequence;
  /** Of the entry at `after`; 0 when unknown. */
  readonly checksum: number;
}

export interface OriginPosition {
  readonly origin: OriginId;
  readonly sequence: Sequence;
  readonly version: Version;
}

/** Streams are numbered by their subscriber; each number is used once per link. */
export type ControlFrame =
  | ({ readonly kind: 'Hello' } & Greeting)
  | ({ readonly kind: 'Welcome' } & Greeting)
  | { readonly kind: 'Bye'; readonly code: string; readonly reason: string }
  | { readonly kind: 'Ping'; readonly id: number }
  | { readonly kind: 'Pong'; readonly id: number }
  | {
      readonly kind: 'Gossip';
      readonly databases: readonly DatabaseName[];
      /** All members the sender knows of, ended ones too; empty where `system` is not replicated. */
      readonly members: readonly MemberFact[];
    }
  | {
      readonly kind: 'Subscribe';
      readonly stream: number;
      readonly database: DatabaseName;
      readonly wants: readonly Want[];
      readonly windowBytes: number;
      /** Tables that are wanted; absent: all. */
      readonly scope?: TableScope;
      /** Nothing at or before that time is wanted, ms since the epoch; absent: all is. */
      readonly startTimeMs?: number;
    }
  | {
      readonly kind: 'Subscribed';
      readonly stream: number;
      /** The sender's present one: nobody has more of it. */
      readonly origin: OriginId;
      readonly positions: readonly OriginPosition[];
      /** False while the sender itself is in the middle of a copy: it cannot be the source of one. */
      readonly whole: boolean;
      /** Tables that are sent of those that were wanted; absent: all. */
      readonly scope?: TableScope;
      /** Tables of these that the sender holds in part; absent: none. */
      readonly inPart?: PartHeldOnWire;
    }
  | { readonly kind: 'Unsubscribe'; readonly stream: number; readonly reason: string }
  | {
      readonly kind: 'Want';
      readonly stream: number;
      readonly add: readonly Want[];
      readonly drop: readonly OriginId[];
    }
  | {
      readonly kind: 'Notice';
      readonly stream: number;
      readonly positions: readonly OriginPosition[];
      readonly whole: boolean;
      /** As in Subscribed. */
      readonly inPart?: PartHeldOnWire;
    }
  | {
      readonly kind: 'TooOld';
      readonly stream: number;
      readonly origin: OriginId;
      readonly logStart: Sequence;
    }
  | {
      readonly kind: 'Ack';
      readonly stream: number;
      readonly positions: readonly OriginPosition[];
      readonly creditBytes: number;
    }
  | {
      readonly kind: 'CopyRequest';
      readonly stream: number;
      readonly after: CopyPlaceOnWire | null;
      /** Only these tables; absent: all that the subscription is for. */
      readonly tables?: TableScope;
    }
  | {
      readonly kind: 'CopyBegin';
      readonly stream: number;
      readonly positions: readonly (OriginPosition & { readonly checksum: number })[];
      /** What the sender itself still has to reach: the receiver has to, too. */
      readonly owed: readonly (OriginPosition & { readonly checksum: number })[];
      readonly estimatedRows: number;
      /** Per origin the newest delete the source has purged: nothing older may be taken from a log. */
      readonly marks: readonly Mark[];
      /** The tables the source holds whole, in the order their rows come: only in these a missing row means a deleted one. */
      readonly tables: readonly { readonly table: string; readonly generation: number }[];
      /** What of the whole database this copy does not bring; absent: it brings all. */
      readonly leftOut?: LeftOut;
      /** What the sender holds in part itself; absent: nothing. */
      readonly inPart?: PartHeldOnWire;
    }
  | { readonly kind: 'CopyEnd'; readonly stream: number; readonly rows: number }
  | { readonly kind: 'CopyRefused'; readonly stream: number; readonly reason: string }
  /** From the subscriber: it does not take what comes of that origin from that entry on. */
  | {
      readonly kind: 'Refused';
      readonly stream: number;
      readonly origin: OriginId;
      /** 0: in a copy, where only the stamp is known. */
      readonly sequence: Sequence;
      readonly version: Version;
      /** `ahead`: the stamp is too far ahead of its clock, and the entry is asked for again when its time has come. */
      readonly reason: string;
    }
  /** One operation on a connection of its own; answered once, then the connection ends. */
  | {
      readonly kind: 'Operation';
      readonly id: number;
      readonly operation: Readonly<Record<string, unknown>>;
      /** `Basic …` or `Bearer …`; absent from a node that the other end knows. */
      readonly authorization?: string;
    }
  | {
      readonly kind: 'OperationResult';
      readonly id: number;
      readonly answer?: Readonly<Record<string, unknown>>;
      /** Instead of an answer. */
      readonly error?: { readonly code: string; readonly message: string };
    };

/** What a node has forgotten: deletes of that origin up to this version are gone from its disk. */
export interface Mark {
  readonly origin: OriginId;
  readonly version: Version;
}

export interface CopyPlaceOnWire {
  readonly table: string;
  readonly generation: number;
  readonly key: Uint8Array;
}

export type ControlKind = ControlFrame['kind'];

export const encodeControl = (frame: ControlFrame): Buffer => {
  const { kind, ...content } = frame;
  return Buffer.concat([Buffer.from([FRAME_KIND[kind]]), encode(content)]);
};

export const isControlFrame = (bytes: Buffer): boolean => (bytes[0] ?? 0) < FRAME_KIND.Entries;

/** MALFORMED, naming kind and field, for anything else than a control frame of this protocol. */
export const decodeControl = (bytes: Buffer): ControlFrame => {
  const kind = controlKinds.get(bytes[0] ?? 0);
  if (!kind)
    throw new SkeinError('MALFORMED', `Unknown frame kind ${bytes[0] ?? 'of an empty frame'}`);
  let content: unknown;
  try {
    content = decode(bytes.subarray(1));
  } catch (error) {
    throw new SkeinError('MALFORMED', `${kind} frame: ${messageOf(error)}`, { cause: error });
  }
  const problems = checks[kind](content);
  if (problems.length > 0)
    throw new SkeinError('MALFORMED', `${kind} frame: ${problems.join('. ')}`);
  const frame = { ...(content as object), kind } as ControlFrame;
  if (frame.kind === 'CopyRequest' && frame.after && !(frame.after.key instanceof Uint8Array))
    throw new SkeinError('MALFORMED', "CopyRequest frame: 'after.key' must be bytes");
  return frame;
};

const controlKinds = new Map<number, ControlKind>(
  (Object.keys(controlSchemas) as ControlKind[]).map((kind) => [FRAME_KIND[kind], kind]),
);

const checks = Object.fromEntries(
  Object.entries(controlSchemas).map(([kind, schema]) => [kind, compileSchema(schema)]),
) as Record<ControlKind, (content: unknown) => string[]>;
