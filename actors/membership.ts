/**
 * membership: who takes part. Keeps `hdb_nodes` and `hdb_node_generations`, drives protocol/membership.ts with them,
 * with what peers tell and with the routes, and says which peers to open and close. A sibling of `peers`, not its
 * parent: what fails here drops no link. Decides nothing itself.
 */
import { isDeepStrictEqual } from 'node:util';
import { messageOf, SkeinError } from '../protocol/errors.js';
import { settleRules, type FlowInput } from '../protocol/flowRules.js';
import { databaseName, type DatabaseName, type NodeName, type TableName } from '../protocol/ids.js';
import { flowOf, flowShown, rulesToKeep } from '../protocol/memberFlow.js';
import {
  factsOf,
  isAdmitted,
  isKnown,
  lifeKey,
  startMembership,
  stepMembership,
  type Life,
  type MembershipEffect,
  type MembershipEvent,
  type MembershipState,
  type MembershipTables,
  type SharedData,
} from '../protocol/membership.js';
import type { RecordObject } from '../protocol/operations.js';
import type { LocalWrite } from '../storage/evaluate.js';
import type { Actor, ActorContext, ActorRef, ActorSpec, Reply } from './kernel/types.js';
import { listens } from './listener.js';
import { ANNOUNCED_URL, flowNotes, LEADER, MemberTables, noteWrite } from './memberTables.js';
import type {
  ClusterMessage,
  MembershipMessage,
  MembershipView,
  PeersMessage,
  RouterMessage,
} from './messages.js';
import type { NodeResources } from './resources.js';
import { GENERATIONS, NODES, SYSTEM } from './systemDatabase.js';

export interface MembershipParts {
  readonly resources: NodeResources;
  readonly cluster: ActorRef<ClusterMessage>;
  readonly peers: ActorRef<PeersMessage>;
  /** The writer of the `system` database. */
  readonly system: ActorRef<RouterMessage>;
  /** Of databases that do not replicate: the tables that do, as they are when a life begins. */
  readonly sharedTables: () => ReadonlyMap<DatabaseName, readonly TableName[]>;
}

export const membershipSpec = (parts: MembershipParts): ActorSpec<MembershipMessage> => ({
  name: 'membership',
  policy: {
    restart: 'onCrash',
    budget: { restarts: 5, withinMs: 60_000 },
    backoff: { msMin: 50, msMax: 5_000 },
    whenSpent: 'escalate',
  },
  start: (context) => new Membership(context, parts),
});

const READ_AGAIN_MS = 1_000;
/** Writes that failed so may succeed later. */
const NOT_NOW: ReadonlySet<string> = new Set([
  'STORAGE_FAILED',
  'UNAVAILABLE',
  'OUTCOME_UNKNOWN',
  'OVERLOADED',
  'TIMEOUT',
]);

class Membership implements Actor<MembershipMessage> {
  readonly #context: ActorContext<MembershipMessage>;
  readonly #parts: MembershipParts;
  readonly #tables: MemberTables;
  #state: MembershipState;
  #leader: NodeName | null = null;
  /** The rules that were told last. */
  #flow: FlowInput | null = null;
  #hasTakenOver = false;
  /** Told that the tables changed, and not yet looked. */
  #isTold = false;
  /** Why the tables could not be read; then what was known before goes on. */
  #problem: string | null = null;
  /** The problem with writing that was told of last. */
  #unwritten = '';

  constructor(context: ActorContext<MembershipMessage>, parts: MembershipParts) {
    const { config } = parts.resources;
    const { routes, databases } = config.replication;
    this.#context = context;
    this.#parts = parts;
    this.#state = startMembership(
      {
        own: config.node.name,
        ownUrl: listens(config) ? config.node.url : '',
        gossips: databases === '*' || databases.some(({ name }) => name === SYSTEM),
      },
      routes,
      this.#dataWith(parts.sharedTables()),
    );
    this.#tables = new MemberTables({
      own: config.node.name,
      ask: (question) => context.ask(parts.system, question),
      changed: this.#tell,
    });
    context.watch(parts.peers as ActorRef<never>, (terminated) => ({
      type: 'peers.restarted',
      terminated,
    }));
    this.#tell();
  }

  readonly receive = (message: MembershipMessage): void | Promise<void> => {
    switch (message.type) {
      case 'nodes.changed':
        return this.#onChanged();
      case 'peers.restarted':
        this.#flow = null;
        return this.#step({ type: 'peersRestarted' });
      case 'members.heard':
        return this.#step({ type: 'heard', members: message.members });
      case 'routes.changed':
        return this.#step({ type: 'routesChanged', routes: message.routes });
      case 'tables.shared':
        return this.#step({ type: 'dataChanged', data: this.#dataWith(message.shared) });
      case 'members.write':
        return this.#answer(message.replyTo, () => this.#write(message));
      case 'member.end':
        return this.#answer(message.replyTo, () => this.#end(message.name, message.generation));
      case 'membership.view':
        return message.replyTo.ok(this.#view());
      default:
        return message satisfies never;
    }
  };

  phase(): string {
    return this.#state.standing;
  }

  stopped(): void {
    this.#tables.close();
  }

  describe(): Record<string, unknown> {
    const { routes, damaged } = this.#state;
    return {
      members: Object.fromEntries(
        factsOf(this.#state).map(({ name, generation, ended }) => [
          name,
          `${generation}${ended ? ' ended' : ''}`,
        ]),
      ),
      routes: routes.map(({ name }) => name),
      damagedRows: Object.fromEntries(damaged),
      problem: this.#problem,
    };
  }

  #view(): MembershipView {
    const { lives, rows, damaged, standing, routes } = this.#state;
    const names = new Set([
      ...[...lives].filter(([, life]) => !life.ended).map(([name]) => name),
      ...routes.map(({ name }) => name).filter((name) => !lives.get(name)?.ended),
    ]);
    const flow = flowOf(this.#state);
    const problems = [...damaged].map(([name, problem]) => `row '${name}': ${problem}`);
    return {
      standing,
      facts: factsOf(this.#state),
      nodes: [...names].sort().map((name) => ({
        name,
        shown: rows.get(name)?.shown ?? {},
        authorization: rows.get(name)?.authorization ?? null,
        isLeader: name === this.#leader,
        flow: flowShown(this.#state, flow, name),
        ...(damaged.has(name) && { problem: damaged.get(name) ?? '' }),
      })),
      own: rows.get(this.#state.options.own)?.shown ?? null,
      problems: this.#problem === null ? problems : [this.#problem, ...problems],
      rules: settleRules(flow),
      isKnown: (name) => isKnown(this.#state, name),
      isAdmitted: (name) => isAdmitted(this.#state, name),
    };
  }

  #dataWith(shared: ReadonlyMap<DatabaseName, readonly TableName[]>): SharedData {
    const { databases } = this.#parts.resources.config.replication;
    const named = databases === '*' ? null : databases.map(({ name }) => databaseName(name));
    return { databases: named && new Set(named), shared };
  }

  /** One look for many changes. Called outside of this actor's turn. */
  readonly #tell = (): void => {
    if (this.#isTold) return;
    this.#isTold = true;
    this.#context.self.send({ type: 'nodes.changed' }, 'control');
  };

  /** What cannot be read takes nothing away: it is reported, and read again later. */
  async #onChanged(): Promise<void> {
    this.#isTold = false;
    const tables = await this.#readIfPossible();
    if (tables) await this.#step({ type: 'tablesRead', tables });
  }

  async #readIfPossible(): Promise<MembershipTables | null> {
    try {
      await this.#tables.listen();
      await this.#takeOver();
      const { leader, ...tables } = await this.#tables.read();
      this.#leader = leader;
      this.#problem = null;
      return tables;
    } catch (error) {
      this.#problem = `the node table cannot be read: ${messageOf(error)}`;
      this.#parts.resources.log.error({ reason: messageOf(error) }, 'cannot read the node table');
      this.#context.startTimer('read', READ_AGAIN_MS, { type: 'nodes.changed' });
      return null;
    }
  }

  /** Peers that an earlier life of this actor opened may have to be closed by this one. */
  async #takeOver(): Promise<void> {
    if (this.#hasTakenOver) return;
    if (this.#context.life > 1) {
      const open = await this.#context.ask<readonly NodeName[], PeersMessage>(
        this.#parts.peers,
        (replyTo) => ({ type: 'peers.open', replyTo }),
      );
      this.#state = { ...this.#state, open: new Map(open.map((name) => [name, []])) };
    }
    this.#hasTakenOver = true;
  }

  async #step(event: MembershipEvent): Promise<void> {
    const [state, effects] = stepMembership(this.#state, event);
    this.#state = state;
    // First: a peer that is opened begins with them.
    this.#tellFlow();
    for (const effect of effects) await this.#carryOut(effect);
  }

  /** Until the tables were read once, nobody is linked with. */
  #tellFlow(): void {
    if (this.#state.standing === 'unknown') return;
    const flow = flowOf(this.#state);
    if (isDeepStrictEqual(flow, this.#flow)) return;
    this.#flow = flow;
    const message = { type: 'flow.changed', rules: settleRules(flow) } as const;
    this.#parts.cluster.send(message, 'control');
    this.#parts.peers.send(message, 'control');
  }

  #carryOut(effect: MembershipEffect): void | Promise<unknown> {
    const { peers, resources } = this.#parts;
    switch (effect.type) {
      case 'openPeer':
        peers.send({ type: 'peer.open', name: effect.name, urls: effect.urls }, 'control');
        return;
      case 'closePeer':
        resources.log.info({ peer: effect.name, reason: effect.reason }, 'a peer is closed');
        peers.send({ type: 'peer.close', name: effect.name, reason: effect.reason }, 'control');
        return;
      case 'tellPeers':
        peers.send({ type: 'members.changed', members: effect.members }, 'control');
        return;
      case 'writeOwn':
        return this.#writeOwn(effect);
      case 'keepNotes':
        return this.#submitOrRetry(flowNotes(effect.notes), 'add_node');
      case 'recordEnd':
        return this.#recordEnd(effect);
      case 'deleteRow':
        return this.#submitOrRetry([rowDelete(effect.name)], 'remove_node');
      case 'reportMismatch':
        resources.log.error(
          { node: resources.config.node.name, registered: [...this.#state.rows.keys()] },
          'Replication identity mismatch: this node is not among the registered nodes; run add_node to join under its present name',
        );
        return;
      default:
        return effect satisfies never;
    }
  }

  #writeOwn(effect: Extract<MembershipEffect, { type: 'writeOwn' }>): Promise<boolean> {
    const { generation, url } = effect;
    const name = this.#parts.resources.config.node.name;
    const replicates = effect.replicates ?? (this.#state.rows.has(name) ? undefined : true);
    return this.#submitOrRetry(
      [
        lifeWrite(name, { generation, ended: false }),
        rowWrite({
          name,
          url: url === '' ? null : url,
          ...(replicates !== undefined && { replicates }),
        }),
        noteWrite(ANNOUNCED_URL, url),
      ],
      'add_node',
    );
  }

  /** Rows and lives of an add_node or update_node. Answered when they are on the disk and acted upon. */
  async #write(message: Extract<MembershipMessage, { type: 'members.write' }>): Promise<void> {
    const own = this.#state.options.own;
    const writes = [
      ...message.lives.map(({ name, generation }) => lifeWrite(name, { generation, ended: false })),
      ...message.rows.map((row) => rowWrite(this.#withOlderSerials(row))),
    ];
    const ownRow = message.rows.find(({ name }) => name === own);
    if (typeof ownRow?.['url'] === 'string') writes.push(noteWrite(ANNOUNCED_URL, ownRow['url']));
    const partners = message.rows
      .map((row) => row['name'] as NodeName)
      .filter((name) => name !== own);
    const held = { partners: [...this.#state.partners], rules: rulesToKeep(this.#state) };
    writes.push(...flowNotes({ ...held, partners: [...new Set([...held.partners, ...partners])] }));
    if (message.leader !== undefined) writes.push(noteWrite(LEADER, message.leader));
    await this.#submit(writes, message.operation);
    await this.#onChanged();
  }

  /** Revoked serials are added to those already stored, never replaced. */
  #withOlderSerials(row: RecordObject): RecordObject {
    const given = row['revoked_certificates'];
    const held = this.#state.rows.get(row['name'] as NodeName)?.shown['revoked_certificates'];
    if (!Array.isArray(given) || !Array.isArray(held)) return row;
    return { ...row, revoked_certificates: [...new Set([...held, ...given])] };
  }

  /** Ends a node's life, from the generation it has here or the one the other end knows. */
  async #end(name: NodeName, atLeast: number): Promise<void> {
    const generation = Math.max(this.#state.lives.get(name)?.generation ?? 1, atLeast);
    await this.#submit(
      [lifeWrite(name, { generation, ended: true }), rowDelete(name)],
      'remove_node',
    );
    await this.#onChanged();
  }

  async #answer(replyTo: Reply<void>, work: () => Promise<void>): Promise<void> {
    try {
      replyTo.ok(await work());
    } catch (error) {
      replyTo.fail(
        error instanceof Error ? error : new SkeinError('UNAVAILABLE', messageOf(error)),
      );
    }
  }

  async #recordEnd(effect: Extract<MembershipEffect, { type: 'recordEnd' }>): Promise<void> {
    const { name, generation } = effect;
    const writes = [lifeWrite(name, { generation, ended: true })];
    if (await this.#submitOrRetry(writes, 'remove_node')) return;
    const recorded = new Set(this.#state.recorded);
    recorded.delete(lifeKey(name, generation));
    this.#state = { ...this.#state, recorded };
  }

  /** A disk that takes nothing is no reason to crash: what is missing is seen, and written, when the tables are read again. */
  async #submitOrRetry(writes: readonly LocalWrite[], operation: string): Promise<boolean> {
    try {
      await this.#submit(writes, operation);
      return true;
    } catch (error) {
      if (!(error instanceof SkeinError) || !NOT_NOW.has(error.code)) throw error;
      const problem = `the node table cannot be written: ${error.message}`;
      if (this.#unwritten !== problem) this.#parts.resources.log.error({ problem }, 'retries');
      this.#unwritten = problem;
      this.#context.startTimer('read', READ_AGAIN_MS, { type: 'nodes.changed' });
      return false;
    }
  }

  async #submit(writes: readonly LocalWrite[], operation: string): Promise<void> {
    await this.#context.ask(this.#parts.system, (replyTo) => ({
      type: 'transaction.submit',
      writes,
      notes: { operation },
      replyTo,
    }));
  }
}

/** Only ever patched, and never with `ended: false`: whatever comes first, an end stays. */
const lifeWrite = (name: NodeName, { generation, ended }: Life): LocalWrite => ({
  table: GENERATIONS,
  type: 'upsert',
  records: [{ id: lifeKey(name, generation), name, generation, ...(ended && { ended }) }],
});

const rowWrite = (record: RecordObject): LocalWrite => ({
  table: NODES,
  type: 'upsert',
  records: [record],
});

const rowDelete = (name: NodeName): LocalWrite => ({
  table: NODES,
  type: 'delete',
  keys: [name],
});
