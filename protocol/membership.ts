/**
 * Who is a member of the cluster: joins what the node table says, what peers tell directly, and the configured routes,
 * into the peers to have a link with. Driven by the membership actor. Pure and total; writes nothing itself.
 *
 * A member's life has a generation. remove_node ends it for good; only an add_node that a member handles opens the next.
 * Lives only grow (a higher generation wins, within one the end wins), so no order of news brings back what was removed.
 *
 *   alone ──routes or add_node──> member ──remove_node──> removed ──add_node──> member
 *   mismatch: the table names members, but not this node
 *
 * Invariants: a peer is open only while this node is a member and the peer's life has not ended; a row of the node
 * table alone makes nobody a member; a row that cannot be read takes nothing away.
 */
import type { FlowInput, StatedFlow } from './flowRules.js';
import type { NodeName } from './ids.js';
import { limits } from './limits.js';
import { newNotes, ownDirections, passesWith } from './memberFlow.js';
import { isCanonicalNodeName } from './nodeNames.js';
import { isGeneration, readLife, readRows, type Life, type NodeRow } from './nodeRows.js';
import { isApart, isPlain, type RowRules } from './rowRules.js';
import type { Replicates } from './schemas/clusterSchemas.js';

export type { Life } from './nodeRows.js';

/** What is known of one node's membership, as told to peers. */
export interface MemberFact {
  readonly name: NodeName;
  /** From 1; add_node opens the next after one has ended. */
  readonly generation: number;
  /** Removed: nothing written by or about this generation brings it back. */
  readonly ended: boolean;
  /** Where others dial it, as a row says that whoever tells this has; null when it has none, or the life has ended. */
  readonly url: string | null;
}

export interface MemberRoute {
  readonly name: NodeName;
  readonly url: string;
  readonly startTimeMs?: number;
  /** From this node's view; absent: it says nothing of directions. */
  readonly flow?: StatedFlow;
}

/** What of the databases takes part, by configuration and definitions. */
export type SharedData = Pick<FlowInput, 'databases' | 'shared'>;

export interface MembershipOptions {
  readonly own: NodeName;
  /** Empty: others cannot dial it. */
  readonly ownUrl: string;
  /** Whether `system` is replicated: only then are members told of and learnt from peers. */
  readonly gossips: boolean;
}

export type Standing = 'unknown' | 'alone' | 'member' | 'removed' | 'mismatch';

export interface MembershipState {
  readonly options: MembershipOptions;
  readonly standing: Standing;
  readonly lives: ReadonlyMap<NodeName, Life>;
  /** Keys of the ended lives of which the table says so, or was asked to. */
  readonly recorded: ReadonlySet<string>;
  readonly rows: ReadonlyMap<NodeName, NodeRow>;
  readonly routes: readonly MemberRoute[];
  readonly data: SharedData;
  /** Nodes that this node added, or that added it: their rows are rules of this node. Others it only heard of. */
  readonly partners: ReadonlySet<NodeName>;
  /** URLs told by peers, for members whose row is not here yet. */
  readonly heardUrls: ReadonlyMap<NodeName, string>;
  /** Peers asked for, with the URLs they were asked for with. */
  readonly open: ReadonlyMap<NodeName, readonly string[]>;
  /** Rows that cannot be read, by the name they stand under. */
  readonly damaged: ReadonlyMap<string, string>;
}

/** Both tables as they are stored now. */
export interface MembershipTables {
  readonly nodes: readonly Readonly<Record<string, unknown>>[];
  readonly generations: readonly Readonly<Record<string, unknown>>[];
  /** The URL this node last wrote into its own row. */
  readonly announcedUrl: string | null;
  readonly notes?: FlowNotes;
}

/** What this node alone knows of the others, kept over restarts. */
export interface FlowNotes {
  readonly partners: readonly NodeName[];
  /** Of rows that let not everything pass, as they were last read. */
  readonly rules: ReadonlyMap<NodeName, RowRules>;
}

export type MembershipEvent =
  | { readonly type: 'tablesRead'; readonly tables: MembershipTables }
  | { readonly type: 'routesChanged'; readonly routes: readonly MemberRoute[] }
  | { readonly type: 'dataChanged'; readonly data: SharedData }
  | { readonly type: 'heard'; readonly members: readonly MemberFact[] }
  /** The actor above the links began anew and knows of none. */
  | { readonly type: 'peersRestarted' };

export type MembershipEffect =
  | { readonly type: 'openPeer'; readonly name: NodeName; readonly urls: readonly string[] }
  | { readonly type: 'closePeer'; readonly name: NodeName; readonly reason: string }
  | { readonly type: 'tellPeers'; readonly members: readonly MemberFact[] }
  /** Write this node's own row, and that its life goes on. */
  | {
      readonly type: 'writeOwn';
      readonly generation: number;
      readonly url: string;
      /** Absent: as the row has it. */
      readonly replicates?: boolean | Replicates;
    }
  | { readonly type: 'keepNotes'; readonly notes: FlowNotes }
  /** A peer says that a node was removed: keep it. */
  | { readonly type: 'recordEnd'; readonly name: NodeName; readonly generation: number }
  /** A row that names no member any more. */
  | { readonly type: 'deleteRow'; readonly name: NodeName }
  | { readonly type: 'reportMismatch' };

export const startMembership = (
  options: MembershipOptions,
  routes: readonly MemberRoute[],
  data: SharedData = { databases: null, shared: new Map() },
): MembershipState => ({
  options,
  standing: 'unknown',
  lives: new Map(),
  recorded: new Set(),
  rows: new Map(),
  routes,
  data,
  partners: new Set(),
  heardUrls: new Map(),
  open: new Map(),
  damaged: new Map(),
});

export const stepMembership = (
  state: MembershipState,
  event: MembershipEvent,
): [MembershipState, MembershipEffect[]] => {
  switch (event.type) {
    case 'tablesRead':
      return onTables(state, event.tables);
    case 'routesChanged':
      return onRoutes(state, event.routes);
    case 'dataChanged':
      return settle({ ...state, data: event.data }, state);
    case 'heard':
      return onHeard(state, event.members);
    case 'peersRestarted':
      return settle({ ...state, open: new Map() }, state, true);
    default:
      return event satisfies never;
  }
};

/** The generation under which a node is, or would be, added. */
export const nextGeneration = (facts: readonly MemberFact[], name: NodeName): number => {
  const life = facts.find((fact) => fact.name === name);
  if (life === undefined) return 1;
  return life.ended ? life.generation + 1 : life.generation;
};

/**
 * Everything known, sorted by name. URLs only heard are not passed on: two of one node would go round for ever. Nor are
 * those of nodes with directions: who has not read the rules must not dial.
 */
export const factsOf = (state: MembershipState): MemberFact[] =>
  [...state.lives]
    .map(([name, life]) => ({ name, ...life, url: life.ended ? null : toldUrl(state, name) }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));

/** What peers are told: all of it, as long as one frame takes it; members before those that were removed. */
const toldFacts = (state: MembershipState): MemberFact[] =>
  factsOf(state)
    .sort((a, b) => Number(a.ended) - Number(b.ended))
    .slice(0, limits.membersMax);

/** Whether add_node, a route or the table lets that node in. */
export const isAdmitted = (state: MembershipState, name: NodeName): boolean =>
  wantedPeers(state).has(name);

/** A node that remove_node can name: it has a life that goes on, a row, or a route. */
export const isKnown = (state: MembershipState, name: NodeName): boolean => {
  const life = state.lives.get(name);
  if (life?.ended === true) return false;
  return life !== undefined || state.rows.has(name) || isRouted(state, name);
};

/** The greater of two lives. */
export const joinLives = (a: Life | undefined, b: Life): Life => {
  if (a === undefined || b.generation > a.generation) return b;
  if (b.generation < a.generation) return a;
  return a.ended ? a : b;
};

/** Key of a row of `hdb_node_generations`. */
export const lifeKey = (name: NodeName, generation: number): string => `${name}#${generation}`;

// ---- events

const onTables = (
  state: MembershipState,
  tables: MembershipTables,
): [MembershipState, MembershipEffect[]] => {
  const lives = new Map(state.lives);
  const recorded = new Set(state.recorded);
  for (const row of tables.generations) {
    const life = readLife(row);
    if (!life) continue;
    takeLife(lives, life);
    if (life.ended) recorded.add(lifeKey(life.name, life.generation));
  }
  const isOver = (name: NodeName): boolean => lives.get(name)?.ended === true;
  const notes = tables.notes ?? { partners: [], rules: new Map<NodeName, RowRules>() };
  const kept = new Map([...notes.rules].filter(([name]) => !isOver(name)));
  const { rows, damaged } = readRows(tables.nodes, state.rows, kept);
  const partners = new Set(notes.partners.filter((name) => !isOver(name)));
  const tablesRead = { ...state, lives, recorded, rows, damaged, partners };
  const [read, own] = withOwnRow(tablesRead, tables.announcedUrl);
  const [next, effects] = settle(read, state);
  return [next, [...own, ...strayRows(next), ...newNotes(next, notes), ...effects]];
};

/**
 * A node that has routes registers itself; a member says when its URL is another than it last wrote. It counts as a
 * member from then on: the effect is carried out before any peer is opened.
 */
const withOwnRow = (
  read: MembershipState,
  announcedUrl: string | null,
): [MembershipState, MembershipEffect[]] => {
  const { own, ownUrl } = read.options;
  const standing = standingOf(read);
  const registers = standing === 'alone' && read.routes.length > 0;
  const isMissing = !read.rows.has(own) && !read.damaged.has(own);
  const replicates = ownDirections(read);
  const hasNews = isMissing || announcedUrl !== ownUrl || replicates !== undefined;
  const differs = standing === 'member' && hasNews;
  if (!registers && !differs) return [{ ...read, standing }, []];
  const generation = read.lives.get(own)?.generation ?? 1;
  const lives = new Map(read.lives).set(own, { generation, ended: false });
  const effect = { type: 'writeOwn', generation, url: ownUrl } as const;
  return [
    { ...read, lives, standing: 'member' },
    [replicates === undefined ? effect : { ...effect, replicates }],
  ];
};

/** A node that was alone registers itself with its first route, as at a start; a member says its new directions. */
const onRoutes = (
  state: MembershipState,
  routes: readonly MemberRoute[],
): [MembershipState, MembershipEffect[]] => {
  const routed = { ...state, routes };
  if (state.standing !== 'alone' && state.standing !== 'member') return settle(routed, state);
  const [registered, own] = withOwnRow(routed, state.options.ownUrl);
  const [next, effects] = settle(registered, state);
  return [next, [...own, ...effects]];
};

const onHeard = (
  state: MembershipState,
  members: readonly MemberFact[],
): [MembershipState, MembershipEffect[]] => {
  const { own, gossips } = state.options;
  if (!gossips) return [state, []];
  const lives = new Map(state.lives);
  const heardUrls = new Map(state.heardUrls);
  for (const fact of members) {
    if (!isSoundFact(fact) || isLeap(fact.generation, lives.get(fact.name)?.generation)) continue;
    if (lives.size >= limits.membersMax && !lives.has(fact.name)) continue;
    // Of its own life a node believes only that it has ended.
    if (fact.name === own && !endsOwn(state, fact)) continue;
    takeLife(lives, fact);
    if (fact.url !== null && lives.has(fact.name)) heardUrls.set(fact.name, fact.url);
  }
  const heard = { ...state, lives, heardUrls };
  const standing = state.standing === 'unknown' ? 'unknown' : standingOf(heard);
  return settle({ ...heard, standing }, state);
};

const endsOwn = (state: MembershipState, fact: MemberFact): boolean => {
  const life = state.lives.get(state.options.own);
  return life !== undefined && fact.ended && fact.generation >= life.generation;
};

/** What changed for the links, and what there is to tell. */
const settle = (
  state: MembershipState,
  before: MembershipState,
  tellAnyway = false,
): [MembershipState, MembershipEffect[]] => {
  const wanted = wantedPeers(state);
  const effects: MembershipEffect[] = [];
  for (const name of state.open.keys())
    if (!wanted.has(name))
      effects.push({ type: 'closePeer', name, reason: whyClosed(state, name) });
  for (const [name, urls] of wanted) {
    const asked = state.open.get(name);
    if (asked === undefined || asked.join(' ') !== urls.join(' '))
      effects.push({ type: 'openPeer', name, urls });
  }
  if (state.options.gossips) {
    const members = toldFacts(state);
    if (tellAnyway || JSON.stringify(members) !== JSON.stringify(toldFacts(before)))
      // First: a peer that is opened greets with it.
      effects.unshift({ type: 'tellPeers', members });
  }
  if (state.standing === 'mismatch' && before.standing !== 'mismatch')
    effects.push({ type: 'reportMismatch' });
  const recorded = new Set(state.recorded);
  for (const [name, { generation, ended }] of state.lives)
    if (ended) recorded.add(lifeKey(name, generation));
  return [{ ...state, recorded, open: wanted }, [...endsToRecord(state, before), ...effects]];
};

/**
 * Ends that only peers have told. The table brings them too, unless who told of them is removed, or removes this node,
 * before that: with the next restart they would be forgotten, and what was removed would be a member again. The end of a
 * node that was never known here is nobody's loss.
 */
const endsToRecord = (state: MembershipState, before: MembershipState): MembershipEffect[] =>
  [...state.lives]
    .filter(([name]) => before.lives.has(name))
    .filter(([name, life]) => life.ended && !state.recorded.has(lifeKey(name, life.generation)))
    .map(([name, { generation }]) => ({ type: 'recordEnd', name, generation }));

const wantedPeers = (state: MembershipState): Map<NodeName, readonly string[]> => {
  const wanted = new Map<NodeName, readonly string[]>();
  if (state.standing !== 'member' && state.standing !== 'alone') return wanted;
  const ownRow = state.rows.get(state.options.own);
  if (ownRow && isApart(ownRow.rules)) return wanted;
  const names = new Set([...state.lives.keys(), ...state.routes.map(({ name }) => name)]);
  for (const name of names) {
    if (name === state.options.own || state.lives.get(name)?.ended) continue;
    if (!passesWith(state, name)) continue;
    wanted.set(name, urlsOf(state, name));
  }
  return wanted;
};

/** The operator's route first, then where the node says it is. */
const urlsOf = (state: MembershipState, name: NodeName): string[] => {
  const route = state.routes.find((known) => known.name === name)?.url;
  const told = rowUrl(state, name) ?? state.heardUrls.get(name);
  return [...new Set([route, told].filter((url) => url != null))];
};

const rowUrl = (state: MembershipState, name: NodeName): string | null =>
  state.rows.get(name)?.url ?? null;

const toldUrl = (state: MembershipState, name: NodeName): string | null => {
  const row = state.rows.get(name);
  return row && isPlain(row.rules) ? row.url : null;
};

const isRouted = (state: MembershipState, name: NodeName): boolean =>
  state.routes.some((route) => route.name === name);

const whyClosed = (state: MembershipState, name: NodeName): string => {
  if (state.standing === 'removed') return 'this node was removed from the cluster';
  if (state.standing === 'mismatch') return 'this node is not among the registered nodes';
  if (state.lives.get(name)?.ended) return `${name} was removed from the cluster`;
  const row = state.rows.get(name);
  if (isKnown(state, name) && !(row && isApart(row.rules)))
    return `nothing passes between this node and ${name}`;
  return `${name} is no member any more`;
};

const standingOf = (state: MembershipState): Standing => {
  const life = state.lives.get(state.options.own);
  if (life !== undefined) return life.ended ? 'removed' : 'member';
  return state.lives.size > 0 || state.rows.size > 0 ? 'mismatch' : 'alone';
};

// ---- rows of nobody

const strayRows = (state: MembershipState): MembershipEffect[] =>
  [...state.rows.keys()]
    .filter((name) => state.lives.get(name)?.ended)
    .map((name) => ({ type: 'deleteRow', name }));

// ---- reading what is stored or told

const takeLife = (lives: Map<NodeName, Life>, told: Life & { readonly name: NodeName }): void => {
  const held = lives.get(told.name);
  lives.set(told.name, joinLives(held, { generation: told.generation, ended: told.ended }));
};

const isSoundFact = ({ name, generation }: MemberFact): boolean =>
  isCanonicalNodeName(name) && isGeneration(generation);

/** A told generation far above what is known would leave no room for the next ones. */
export const isLeap = (told: number, known: number | undefined): boolean =>
  told > (known ?? 0) + limits.generationLeapMax;
