/**
 * What actors say to one another: one union per actor. Commands are imperative, facts past tense, questions nouns
 * with `replyTo` last, timers `timer.<what>`. A sender that uses a message not listed here does not compile.
 */
import type { X509Certificate } from 'node:crypto';
import type {
  ControlFrame,
  CopyPlaceOnWire,
  Mark,
  OriginPosition,
  Want,
} from '../protocol/frames.js';
import type { SentEntry, SentRow } from '../protocol/dataFrames.js';
import type { CopiedPosition } from '../protocol/copyCheckpoint.js';
import type { EntryNotes } from '../protocol/entry.js';
import type { FlowRules, OriginScope, TableScope } from '../protocol/flow.js';
import type { StatedFlow } from '../protocol/flowRules.js';
import type { LeftOut, PartHeld } from '../protocol/leftOut.js';
import type { MemberFact, MemberRoute, Standing } from '../protocol/membership.js';
import type { DatabaseName, NodeName, OriginId, TableName, Version } from '../protocol/ids.js';
import type { Key, RecordObject, User } from '../protocol/operations.js';
import type { Refusal, ToldRefusal } from '../protocol/refusals.js';
import type { ApplyProblem } from '../protocol/resync.js';
import type { CopyPace } from '../protocol/copyPace.js';
import type { StreamStanding } from '../protocol/standing.js';
import type { CertificateFields } from '../protocol/schemas/certificateSchemas.js';
import type { TableDefinition } from '../protocol/tableDefinition.js';
import type { RevocationResult } from '../security/revocation.js';
import type { RefreshedCheck } from '../security/revocationChecker.js';
import type { Accepted, Commit } from '../storage/commit.js';
import type { Finding } from '../storage/damage.js';
import type { LocalWrite } from '../storage/evaluate.js';
import type { LogReader } from '../storage/log.js';
import type { SearchQuery } from '../storage/search.js';
import type { CopyScope, CopySource } from '../storage/snapshot.js';
import type { ActorRef, Reply, SupervisionEvent, Terminated } from './kernel/types.js';
import type { SignedCertificate } from './ownCertificates.js';
import type { CertificatePair } from './revocationGate.js';
import type { Connection } from './transport/types.js';
import type { Credentials, TokenBearer } from './users.js';

// ---- shardRouter: the single writer of one database

export type RouterMessage =
  | {
      readonly type: 'transaction.submit';
      readonly writes: readonly LocalWrite[];
      readonly notes: EntryNotes;
      readonly replyTo: Reply<Accepted>;
    }
  | {
      readonly type: 'table.define';
      readonly definition: TableDefinition;
      readonly notes: EntryNotes;
      readonly replyTo: Reply<void>;
    }
  | { readonly type: 'table.drop'; readonly table: string; readonly replyTo: Reply<void> }
  | {
      readonly type: 'attribute.drop';
      readonly table: string;
      readonly attribute: string;
      readonly replyTo: Reply<void>;
    }
  | {
      readonly type: 'entries.apply';
      readonly from: ActorRef<ResyncMessage>;
      readonly entries: readonly SentEntry[];
      readonly bytes: number;
      /** Of the link they came over: what is left out of older ones is not wanted; absent: everything is. */
      readonly startTimeMs?: number;
    }
  | {
      readonly type: 'copy.begin';
      readonly peer: NodeName;
      readonly positions: readonly CopiedPosition[];
      readonly owed: readonly CopiedPosition[];
      readonly estimatedRows: number;
      readonly marks: readonly Mark[];
      readonly tables: readonly { readonly table: string; readonly generation: number }[];
      readonly leftOut?: LeftOut;
      readonly inPart?: PartHeld;
      /** Tables whose older rows the source left out, as it was asked to. */
      readonly cutOff?: readonly TableName[];
    }
  | {
      readonly type: 'copy.apply';
      readonly peer: NodeName;
      readonly from: ActorRef<ResyncMessage>;
      readonly rows: readonly SentRow[];
      readonly bytes: number;
    }
  | { readonly type: 'copy.end'; readonly peer: NodeName; readonly rows: number }
  /** The rows that wait are merged on. */
  | { readonly type: 'copy.step' }
  /** Everything is to be copied from that peer once, whatever is here. */
  | { readonly type: 'copy.want'; readonly peer: NodeName }
  | { readonly type: 'copy.failed'; readonly peer: NodeName; readonly reason: string }
  | { readonly type: 'batch.written'; readonly commit: Commit; readonly failure?: Error }
  | { readonly type: 'index.fill' }
  /** Something stored cannot be read. */
  | { readonly type: 'damage.found'; readonly finding: Finding }
  | {
      readonly type: 'feed.open';
      readonly feed: ActorRef<FeedMessage>;
      readonly replyTo: Reply<FeedOpening>;
    }
  | { readonly type: 'feed.closed'; readonly feed: ActorRef<FeedMessage> }
  | {
      readonly type: 'peer.linked';
      readonly peer: NodeName;
      readonly resync: ActorRef<ResyncMessage>;
      /** The peer's present origin. */
      readonly origin: OriginId;
      readonly positions: readonly OriginPosition[];
      readonly whole: boolean;
      /** Tables that pass from it; absent: all. */
      readonly scope?: TableScope;
      /** Tables it holds in part; absent: none. */
      readonly inPart?: PartHeld;
    }
  | {
      readonly type: 'peer.noticed';
      readonly peer: NodeName;
      readonly positions: readonly OriginPosition[];
      readonly whole: boolean;
      readonly inPart?: PartHeld;
    }
  /** Whose writes are taken from now on. */
  | { readonly type: 'flow.changed'; readonly origins: OriginScope }
  | { readonly type: 'peer.tooOld'; readonly peer: NodeName; readonly origin: OriginId }
  | {
      readonly type: 'peer.lost';
      readonly peer: NodeName;
      readonly origins: readonly { readonly origin: OriginId; readonly problem: ApplyProblem }[];
    }
  | { readonly type: 'peer.measured'; readonly peer: NodeName; readonly rttMs: number }
  | {
      readonly type: 'peer.unlinked';
      readonly peer: NodeName;
      readonly resync: ActorRef<ResyncMessage>;
    }
  | { readonly type: 'clock.observed'; readonly clock: Version }
  | { readonly type: 'note.due' }
  | { readonly type: 'timer.retry' }
  | { readonly type: 'timer.maintain' }
  /** Old deletes and log entries are taken away, and orphans written again, a little further. */
  | { readonly type: 'maintenance.step' }
  /** A peer does not take what comes of an origin from there on, because of its stamp. */
  | { readonly type: 'entries.refused'; readonly peer: NodeName; readonly refusal: Refusal }
  /** A peer wants more of this node's present log: what it has of it may not be what is here. */
  | { readonly type: 'own.wanted'; readonly peer: NodeName; readonly want: Want }
  | {
      readonly type: 'records.get';
      readonly table: string;
      readonly keys: readonly Key[];
      readonly replyTo: Reply<(RecordObject | undefined)[]>;
    }
  | {
      readonly type: 'records.search';
      readonly table: string;
      readonly query: SearchQuery;
      /** Fail with DAMAGED at a row that cannot be read, instead of leaving it out. */
      readonly refuseDamaged?: boolean;
      readonly replyTo: Reply<RecordObject[]>;
    }
  | {
      readonly type: 'tables.describe';
      readonly table?: string;
      readonly exactCount: boolean;
      readonly replyTo: Reply<TableDescription[]>;
    }
  | {
      readonly type: 'log.open';
      readonly listener: (() => void) | null;
      readonly replyTo: Reply<LogOpening>;
    }
  | { readonly type: 'database.status'; readonly replyTo: Reply<DatabaseStatus> };

export interface FeedOpening {
  readonly log: LogReader;
  /** This node's present one. */
  readonly origin: OriginId;
  readonly positions: readonly OriginPosition[];
  readonly whole: boolean;
  /** Tables this node holds in part. */
  readonly inPart: PartHeld;
  /** Null: this node is in the middle of a copy itself. */
  readonly openCopy: (
    after: CopyPlaceOnWire | null,
    scope: CopyScope,
  ) => Promise<OpenedCopy | null>;
}

export interface OpenedCopy {
  readonly source: CopySource;
  /** What whoever copies from here has to reach beside the snapshot's positions. */
  readonly owed: readonly CopiedPosition[];
}

export interface LogOpening {
  readonly log: LogReader;
  /** False once the writer's life is over: then the log must be opened again. The listener is told. */
  readonly isOpen: () => boolean;
  readonly close: () => void;
}

export interface TableDescription {
  readonly definition: TableDefinition;
  readonly attributes: readonly { readonly name: string; readonly indexed: boolean }[];
  readonly recordCount: number;
  readonly countIsExact: boolean;
  readonly tableBytes: number;
  readonly databaseBytes: number;
  readonly auditBytes: number;
  readonly lastUpdatedMs: number | null;
}

export interface CopyProgress {
  readonly from: NodeName | null;
  readonly rowsDone: number;
  readonly rowsEstimated: number;
}

export interface DatabaseStatus {
  readonly database: DatabaseName;
  readonly origin: OriginId;
  readonly positions: readonly OriginPosition[];
  readonly clock: Version;
  /** No copy is needed or unfinished, and what a copy promised has been reached. */
  readonly ready: boolean;
  /** Why it takes no writes; absent: it does. */
  readonly readOnly?: string;
  /** What of it cannot be read; absent: all can. */
  readonly damage?: DamageStatus;
  /** A new incarnation began, since the directory was restored or the clock had been ahead: what was done; null: nothing. */
  readonly ownPast: string | null;
  /** What is not taken because its stamp is too far ahead of this node's clock. */
  readonly refuses: readonly Refusal[];
  /** What linked peers do not take for that reason. */
  readonly refusedBy: readonly ToldRefusal[];
  readonly copy: CopyProgress | null;
  /** Of the copy in progress, or of the last one; null before the first. */
  readonly copyPace: CopyPace | null;
  /** Per linked peer: how far behind it this node is. */
  readonly peers: readonly PeerStanding[];
  /** Per peer that was linked: how far behind it this node was known to be, and since when. */
  readonly parted: readonly PeerStanding[];
  /** The clock of this answer, ms since the epoch. */
  readonly nowMs: number;
}

export interface DamageStatus {
  /** Rows that cannot be read, and some of them by name. */
  readonly rows: number;
  readonly named: readonly { readonly table: string; readonly key: Key }[];
  /** Tables that may lack rows. */
  readonly tables: readonly { readonly table: string; readonly reason: string }[];
  /** Log entries that could not be read in this life of the writer. */
  readonly entries: number;
}

export interface PeerStanding {
  readonly peer: NodeName;
  /** Origins taken from it. */
  readonly sources: readonly NodeName[];
  /** Entries it has said to have and this node has not. */
  readonly entriesBehind: number;
  /** The same with ages, to be read with a time. */
  readonly receiving: StreamStanding;
  /** False: the peer is in the middle of a copy. */
  readonly whole: boolean;
  /** The clock of this answer, ms since the epoch. */
  readonly nowMs: number;
}

// ---- tableSubscription: the sending end of a stream

export type FeedMessage =
  | { readonly type: 'frame.received'; readonly frame: ControlFrame }
  | {
      readonly type: 'log.advanced';
      readonly positions: readonly OriginPosition[];
      readonly whole: boolean;
      /** Tables this node holds in part. */
      readonly inPart: PartHeld;
    }
  | { readonly type: 'link.drained' }
  /** This node goes on under a new incarnation: subscribers have to hear of it. */
  | { readonly type: 'origin.changed' }
  | { readonly type: 'timer.notice' }
  | { readonly type: 'feed.status'; readonly replyTo: Reply<FeedStatus> };

export interface FeedStatus {
  readonly sendingMs: number | null;
  readonly confirmedMs: number | null;
  /** Wanted and not yet sent. */
  readonly entriesUnsent: number;
  readonly copying: boolean;
  /** What the peer has not acknowledged. */
  readonly sending: StreamStanding;
  /** When the copy that is being sent last moved; null: none is. */
  readonly copyMovedMs: number | null;
  /** Share of the last 30 s in which there was something to send and no credit or a full socket. */
  readonly backPressurePercent: number;
  /** The clock of this answer, ms since the epoch. */
  readonly nowMs: number;
}

// ---- resync: the receiving end of a stream

export type ResyncMessage =
  | { readonly type: 'frame.received'; readonly frame: ControlFrame }
  | { readonly type: 'data.received'; readonly bytes: Buffer }
  | { readonly type: 'wants.changed'; readonly wants: readonly Want[] }
  | {
      readonly type: 'copy.wanted';
      readonly after: CopyPlaceOnWire | null;
      /** Only these; absent: all. */
      readonly tables?: TableScope;
    }
  | {
      readonly type: 'entries.committed';
      readonly positions: readonly OriginPosition[];
      readonly bytes: number;
      readonly problems: readonly { readonly origin: OriginId; readonly problem: ApplyProblem }[];
    }
  | { readonly type: 'rows.committed'; readonly bytes: number }
  /** The peer is to know that this is not taken. */
  | { readonly type: 'refusal.tell'; readonly refusal: Refusal }
  | { readonly type: 'rtt.measured'; readonly rttMs: number }
  | { readonly type: 'resync.status'; readonly replyTo: Reply<ResyncStatus> };

export interface ResyncStatus {
  readonly phase: 'subscribing' | 'live' | 'copying';
  readonly lastReceivedRemoteMs: number | null;
  readonly lastReceivedLocalMs: number | null;
  readonly receiving: boolean;
  /** When the copy that is being received last moved; null: none is. */
  readonly copyMovedMs: number | null;
  /** When the last part came of a frame that is not complete; null: none is under way. */
  readonly partMovedMs: number | null;
  /** When this stream was asked for, and the clock of this answer, ms since the epoch. */
  readonly startedMs: number;
  readonly nowMs: number;
}

// ---- peers, peer:<node>, listener, membership

export type PeersMessage =
  /** Idempotent; other URLs for an open peer are tried at its next dial. */
  | { readonly type: 'peer.open'; readonly name: NodeName; readonly urls: readonly string[] }
  | { readonly type: 'peer.close'; readonly name: NodeName; readonly reason: string }
  /** What is told to every peer beside the databases. */
  | { readonly type: 'members.changed'; readonly members: readonly MemberFact[] }
  /** What may pass from now on. */
  | { readonly type: 'flow.changed'; readonly rules: FlowRules }
  | { readonly type: 'peer.accepted'; readonly connection: Connection }
  | { readonly type: 'databases.changed'; readonly databases: Databases }
  /** Names of the peers that are open. */
  | { readonly type: 'peers.open'; readonly replyTo: Reply<readonly NodeName[]> }
  | { readonly type: 'peers.status'; readonly replyTo: Reply<PeerStatus[]> };

/** The databases that take part in replication, with their writers. */
export type Databases = ReadonlyMap<DatabaseName, ActorRef<RouterMessage>>;

export type PeerMessage =
  | { readonly type: 'databases.changed'; readonly databases: Databases }
  | { readonly type: 'members.changed'; readonly members: readonly MemberFact[] }
  | { readonly type: 'flow.changed'; readonly rules: FlowRules }
  | { readonly type: 'urls.changed'; readonly urls: readonly string[] }
  | { readonly type: 'link.accepted'; readonly connection: Connection }
  | { readonly type: 'link.dialled'; readonly connection: Connection }
  | { readonly type: 'link.failed'; readonly reason: string }
  | { readonly type: 'link.frame'; readonly link: number; readonly frame: ControlFrame }
  | { readonly type: 'link.malformed'; readonly link: number; readonly reason: string }
  | {
      readonly type: 'link.closed';
      readonly link: number;
      readonly code: number;
      readonly reason: string;
    }
  /** It was at the door and not let in. */
  | { readonly type: 'link.refused'; readonly reason: string }
  | {
      readonly type: 'greeting.ready';
      readonly link: number;
      readonly clock: Version;
      /** Why the peer's certificate is not accepted. */
      readonly refusal: string | undefined;
    }
  | { readonly type: 'router.ended'; readonly database: DatabaseName }
  | {
      readonly type: 'stream.ended';
      readonly terminated: Terminated;
      readonly database: DatabaseName;
      readonly side: 'feed' | 'resync';
    }
  | { readonly type: 'timer.dial' }
  | { readonly type: 'timer.tick' }
  | { readonly type: 'timer.resubscribe'; readonly database: DatabaseName }
  | { readonly type: 'peer.status'; readonly replyTo: Reply<PeerStatus> };

export interface PeerStatus {
  readonly name: NodeName;
  readonly url: string;
  readonly connected: boolean;
  /** `connecting`, `greeting`, `open`, `waiting`. */
  readonly phase: string;
  /** Why it is not connected; absent when it is. */
  readonly reason?: string;
  readonly attempt: number;
  readonly nextTryMs?: number;
  readonly rttMs?: number;
  readonly lastHeardMs?: number;
  readonly lastError?: { readonly code: number; readonly timeMs: number; readonly reason: string };
  readonly databases: readonly StreamStatus[];
}

export interface StreamStatus {
  readonly database: DatabaseName;
  /** The peer has subscribed, whether or not the feed can answer now. */
  readonly isServed: boolean;
  /** Null: there is none, or it does not answer. */
  readonly sending: FeedStatus | null;
  readonly receiving: ResyncStatus | null;
  /** Why nothing is sent or received, where the rules of either end say so; absent otherwise. */
  readonly sendingClosed?: string;
  readonly receivingClosed?: string;
}

export type MembershipMessage =
  /** Something in the `system` database has been written. */
  | { readonly type: 'nodes.changed' }
  | { readonly type: 'peers.restarted'; readonly terminated: Terminated }
  | { readonly type: 'members.heard'; readonly members: readonly MemberFact[] }
  | { readonly type: 'routes.changed'; readonly routes: readonly MemberRoute[] }
  | {
      readonly type: 'tables.shared';
      readonly shared: ReadonlyMap<DatabaseName, readonly TableName[]>;
    }
  | {
      readonly type: 'members.write';
      /** add_node or update_node, for the log. */
      readonly operation: string;
      readonly lives: readonly { readonly name: NodeName; readonly generation: number }[];
      /** Attributes of `hdb_nodes` to set, each with `name`. */
      readonly rows: readonly RecordObject[];
      readonly leader?: NodeName;
      readonly replyTo: Reply<void>;
    }
  | {
      readonly type: 'member.end';
      readonly name: NodeName;
      /** The generation the other end knows; at least this one ends. */
      readonly generation: number;
      readonly replyTo: Reply<void>;
    }
  | { readonly type: 'membership.view'; readonly replyTo: Reply<MembershipView> };

export interface MembershipView {
  readonly standing: Standing;
  readonly facts: readonly MemberFact[];
  /** Members and routes, removed ones left out, this node among them. */
  readonly nodes: readonly NodeView[];
  /** What this node's own row says; null when there is none. */
  readonly own: Readonly<Record<string, unknown>> | null;
  readonly problems: readonly string[];
  readonly rules: FlowRules;
  readonly isKnown: (name: NodeName) => boolean;
  /** May link with this node now. */
  readonly isAdmitted: (name: NodeName) => boolean;
}

export interface NodeFlow {
  readonly source: 'route' | 'hdb_nodes' | 'default';
  /** False: explicit subscriptions, nothing else passes. */
  readonly replicateByDefault: boolean;
  /** From this node's view; absent when no route states it. */
  readonly route?: StatedFlow;
  readonly startTimeMs: number | null;
}

export interface NodeView {
  readonly name: NodeName;
  /** Its row without secrets; empty when only a route or a peer names it. */
  readonly shown: Readonly<Record<string, unknown>>;
  readonly authorization: string | null;
  readonly isLeader: boolean;
  /** What a route or its row states of the flow to and from it. */
  readonly flow: NodeFlow;
  /** Why its row cannot be read. */
  readonly problem?: string;
}

// ---- revocation

export type RevocationMessage =
  /** Whether a certificate may be used that the other one has signed. */
  | {
      readonly type: 'certificate.check';
      readonly pair: CertificatePair;
      readonly replyTo: Reply<RevocationResult>;
    }
  /** No link has it any more. */
  | { readonly type: 'certificate.released'; readonly pem: string }
  | { readonly type: 'check.ended'; readonly pem: string; readonly result: RevocationResult }
  | { readonly type: 'timer.refresh' }
  | { readonly type: 'refresh.ended'; readonly checks: readonly RefreshedCheck[] }
  | { readonly type: 'refresh.failed'; readonly error: Error };

// ---- signer

export type SignerMessage =
  /** Something in the `system` database has been written. */
  | { readonly type: 'trust.changed' }
  | { readonly type: 'timer.look' }
  | { readonly type: 'timer.files' }
  | { readonly type: 'timer.renew' }
  /** Answered when connections show and trust what is stored. */
  | { readonly type: 'identity.view'; readonly replyTo: Reply<IdentityView> }
  /** A request for this node's own name, in PEM, and the file of its key. */
  | {
      readonly type: 'request.create';
      readonly replyTo: Reply<{ readonly csr: string; readonly privateKeyName: string }>;
    }
  /** Another node asks to be signed under its proven, or announced and authorised, name. */
  | {
      readonly type: 'request.sign';
      readonly csr: string;
      readonly name: NodeName;
      readonly replyTo: Reply<SignedCertificate>;
    }
  /** What another node has signed for this one. */
  | {
      readonly type: 'certificate.store';
      readonly signed: SignedCertificate;
      readonly privateKeyName: string;
      readonly replyTo: Reply<void>;
    }
  /** The operator provides a certificate or an authority; answered with the name of its row. */
  | {
      readonly type: 'certificate.add';
      readonly certificate: CertificateFields;
      readonly replyTo: Reply<string>;
    }
  | {
      readonly type: 'certificate.remove';
      readonly name: string;
      readonly replyTo: Reply<void>;
    }
  | { readonly type: 'renewal.ended'; readonly failure: string | null };

/** What this node shows to others under its own name. */
export interface IdentityView {
  /** There is a certificate for this node's name that is valid now. */
  readonly isUsable: boolean;
  /** Signed by itself, or by the authority that this node made for itself. */
  readonly isSelfSigned: boolean;
  /** PEM of the authority that has signed it; null: a public one, or none that is known here. */
  readonly authority: string | null;
}

export type ListenerMessage = {
  readonly type: 'connection.accepted';
  readonly connection: Connection;
};

// ---- health

export type HealthMessage = {
  readonly type: 'supervision.observed';
  readonly event: SupervisionEvent;
};

// ---- clusterSupervisor

export type ClusterMessage =
  | {
      readonly type: 'operation.run';
      readonly operation: unknown;
      readonly user: User | null;
      /** Where the request comes from, as far as that is known. */
      readonly address?: string;
      readonly replyTo: Reply<unknown>;
    }
  /** Another node dialled to have one operation run. */
  | { readonly type: 'operation.accepted'; readonly connection: Connection }
  | {
      readonly type: 'user.authenticate';
      readonly credentials: Credentials;
      readonly replyTo: Reply<User>;
    }
  | {
      readonly type: 'certificate.authenticate';
      readonly certificate: X509Certificate;
      readonly replyTo: Reply<User>;
    }
  | {
      readonly type: 'token.authenticate';
      readonly token: string;
      readonly replyTo: Reply<TokenBearer>;
    }
  | {
      readonly type: 'database.find';
      readonly database: string;
      readonly create: boolean;
      readonly replyTo: Reply<ActorRef<RouterMessage>>;
    }
  | {
      readonly type: 'gossip.heard';
      readonly peer: NodeName;
      readonly databases: readonly DatabaseName[];
      readonly members: readonly MemberFact[];
    }
  | { readonly type: 'flow.changed'; readonly rules: FlowRules }
  /** Of a database that does not replicate: its tables that do. */
  | {
      readonly type: 'tables.shared';
      readonly database: DatabaseName;
      readonly tables: readonly TableName[];
    }
  | { readonly type: 'cluster.overview'; readonly replyTo: Reply<ClusterOverview> };

export interface ClusterOverview {
  readonly databases: readonly DatabaseStatus[];
  /** Databases that did not answer in time, or are being made since a peer has them. */
  readonly silent: readonly DatabaseName[];
  readonly peers: readonly PeerStatus[];
  /** Null while it cannot answer. */
  readonly membership: MembershipView | null;
}
