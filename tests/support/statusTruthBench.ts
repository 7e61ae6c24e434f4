/**
 * Three real nodes whose every link passes a proxy, in both dial directions, and what a nemesis can do to them. Knows of
 * each link and node what was done to it and when; says what that means for one end. Called by statusTruth.ts.
 */
import { startCluster, type Cluster } from './cluster.js';
import { Refused } from './clusterClient.js';
import { openLinkProxy, type LinkProxy } from './linkProxy.js';
import { TruthLink, TruthNode, type FaultKind } from './statusTruthParts.js';
import { waitUntil } from './waitUntil.js';

/** One that is replicated by rows when a node joins empty, and one whose log is short enough to be replayed. */
export const DATABASES = ['data', 'more'] as const;
export const TABLE = 'truths';
const SINGLE_ROWS = 1_152;
const AT_ONCE = 24;
const FILLING = 'f'.repeat(300);

export interface Row {
  readonly id: string;
  /** When the write was begun, ms since the epoch. */
  readonly at: number;
  /** Under which life of which disk it was written. */
  readonly by: string;
}

export type Rows = ReadonlyMap<string, Row>;

/** Bytes do not arrive, or nobody is there to read them, since then. */
export interface Break {
  readonly kind: FaultKind;
  readonly sinceMs: number;
  /** How long it may go unnoticed. */
  readonly unnoticedMs: number;
  /** What the peer says arrives nevertheless. */
  readonly isHeard: boolean;
}

/** A busy machine: timers, sockets and answers are late by this much. */
export const SLACK_MS = 300;
/** Who was heard of within a second is not asked again before it is called connected. */
const QUIET_MS = 1_000;
export class TruthBench {
  readonly nodes: readonly TruthNode[];
  readonly links: readonly TruthLink[];
  readonly pingMs: number;
  readonly #cluster: Cluster;
  /** A node that did not come up again. */
  failure: unknown = undefined;

  private constructor(cluster: Cluster, links: readonly TruthLink[], pingMs: number) {
    this.#cluster = cluster;
    this.pingMs = pingMs;
    this.nodes = cluster.nodes.map((node, index) => new TruthNode(index, node));
    this.links = links;
  }

  /** All connected, with so many rows that an empty node copies `data`. */
  static async start(options: { firstAddress: number; pingMs: number }): Promise<TruthBench> {
    const { firstAddress, pingMs } = options;
    const cluster = await startCluster({
      nodes: 3,
      asleep: [0, 1, 2],
      firstAddress,
      config: {
        replication: {
          pingInterval: pingMs,
          databases: [...DATABASES],
        },
      },
    });
    const bench = new TruthBench(cluster, await openLinks(cluster), pingMs);
    try {
      for (const { node, index } of bench.nodes) node.configure(bench.#routesOf(index));
      await Promise.all(bench.nodes.map((node) => node.launch(bench.failed)));
      await Promise.all(bench.nodes.map(({ node }) => node.ready()));
      await cluster.connected();
      await bench.#fill();
      return bench;
    } catch (error) {
      await bench.close();
      throw error;
    }
  }

  readonly failed = (error: unknown): void => {
    this.failure ??= error;
  };

  linkOf(a: TruthNode, b: TruthNode): TruthLink {
    const link = this.links.find(
      ({ ends }) => ends.includes(a.index) && ends.includes(b.index) && a !== b,
    );
    if (!link) throw new Error(`${a.name} and ${b.name} have no link`);
    return link;
  }

  /** Only the end that hears nothing can tell, by the ping timeout, at its next tick. */
  get deafMs(): number {
    return 2 * this.pingMs + Math.min(1_000, this.pingMs / 4);
  }

  /** What keeps the observer and the peer from exchanging anything, as the observer could know it. */
  breaksOf(observer: TruthNode, peer: TruthNode): readonly Break[] {
    const breaks: Break[] = [];
    const { fault } = this.linkOf(observer, peer);
    // Before that it knew nothing, or what lay in its sockets then was still to be read.
    const awakeMs = Math.max(observer.launchedMs, observer.continuedMs);
    const add = (kind: FaultKind, sinceMs: number, unnoticedMs: number, isHeard = false): void => {
      const since = Math.max(sinceMs, awakeMs);
      breaks.push({ kind, sinceMs: since, unnoticedMs: unnoticedMs + SLACK_MS, isHeard });
    };
    if (fault?.kind === 'cut') add('cut', fault.sinceMs, 0);
    if (fault?.kind === 'hang') add('hang', fault.sinceMs, QUIET_MS);
    if (fault?.kind === 'half')
      if (fault.deaf === observer.index) add('half', fault.sinceMs, QUIET_MS);
      else add('half', fault.sinceMs, this.deafMs, true);
    if (peer.stoppedMs !== null) add('stopped', peer.stoppedMs, QUIET_MS);
    if (peer.killedMs !== null) add('killed', peer.killedMs, 0);
    return breaks;
  }

  /** Since when nothing keeps them apart; null while something does, or one of them is not up. */
  wholeSince(a: TruthNode, b: TruthNode): number | null {
    const link = this.linkOf(a, b);
    if (link.fault || !a.isThere || !b.isThere) return null;
    return Math.max(link.touchedMs, a.readyMs, b.readyMs, a.continuedMs, b.continuedMs);
  }

  /** Undefined: it does not answer now. */
  async rows(node: TruthNode, database: string): Promise<Rows | undefined> {
    if (!node.isAwake) return undefined;
    const found = await orNothing(
      node.node.client.send({
        operation: 'search_by_value',
        database,
        table: TABLE,
        attribute: 'id',
        value: '*',
        get_attributes: ['id', 'at', 'by'],
      }),
    );
    return Array.isArray(found) ? new Map((found as Row[]).map((row) => [row.id, row])) : undefined;
  }

  /** False: it may not have been written. */
  async write(
    node: TruthNode,
    database: string,
    row: Omit<Row, 'by'> & { readonly more?: string },
  ): Promise<boolean> {
    const records = [{ ...row, by: node.disk }];
    const operation = { operation: 'insert', database, table: TABLE, records };
    return (await orNothing(node.node.client.send(operation))) !== undefined;
  }

  async has(node: TruthNode, database: string, id: string): Promise<boolean> {
    const operation = { operation: 'search_by_id', database, table: TABLE, ids: [id] };
    const found = await orNothing(node.node.client.send(operation));
    return Array.isArray(found) && found.length > 0;
  }

  logTails(): Promise<string[]> {
    return Promise.all(
      this.nodes.map(async ({ node }) => `${node.name}:\n${await node.logTail()}`),
    );
  }

  async close(): Promise<void> {
    for (const node of this.nodes) if (node.stoppedMs !== null) node.continue();
    await Promise.all(this.links.map((link) => link.close()));
    await this.#cluster.close();
  }

  #routesOf(index: number): { config: { replication: { routes: string[] } } } {
    const routes = this.links
      .filter(({ ends }) => ends.includes(index))
      .map((link) => link.urlFor(index));
    return { config: { replication: { routes } } };
  }

  async #fill(): Promise<void> {
    const [first] = this.nodes;
    if (!first) return;
    for (const database of DATABASES) {
      if (database !== 'data')
        await first.node.client.send({ operation: 'create_database', database });
      await first.node.client.send({
        operation: 'create_table',
        database,
        table: TABLE,
        primary_key: 'id',
      });
    }
    await this.#everywhere(0);
    for (let row = 0; row < SINGLE_ROWS; row += AT_ONCE)
      await Promise.all(
        Array.from({ length: AT_ONCE }, (_, at) =>
          this.write(first, 'data', { id: `first-${row + at}`, at: Date.now(), more: FILLING }),
        ),
      );
    await this.#everywhere(SINGLE_ROWS);
  }

  /** Resolves when every node has the tables, and so many rows of the first. */
  async #everywhere(count: number): Promise<void> {
    await waitUntil('all rows on all nodes', async () => {
      const [data, more] = await Promise.all(
        DATABASES.map((database) =>
          Promise.all(this.nodes.map((node) => this.rows(node, database))),
        ),
      );
      return data?.every((rows) => rows?.size === count) && more?.every((rows) => rows?.size === 0);
    });
  }
}

const openLinks = (cluster: Cluster): Promise<TruthLink[]> => {
  const pairs = [
    [0, 1],
    [0, 2],
    [1, 2],
  ] as const;
  return Promise.all(
    pairs.map(async ([a, b]) => {
      const towards = (index: number): Promise<LinkProxy> => {
        const { name, ports } = cluster.node(index);
        return openLinkProxy({ target: { host: name, port: ports.replication } });
      };
      const [toB, toA] = await Promise.all([towards(b), towards(a)]);
      return new TruthLink(
        [a, b],
        new Map([
          [a, toB],
          [b, toA],
        ]),
      );
    }),
  );
};

/** Undefined: no answer, or a node that is not ready refuses. Anything else a node says is no answer either. */
const orNothing = async (answer: Promise<unknown>): Promise<unknown> => {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof Refused && error.status < 500 && error.status !== 404) throw error;
    return undefined;
  }
};
