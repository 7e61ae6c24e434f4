/**
 * What may pass between this node and one peer, per database, as its streams were told; and what the peer refuses. Used
 * by PeerStreams only, which begins and ends the streams.
 */
import { isDeepStrictEqual } from 'node:util';
import { isNothing, type FlowRules, type LinkScope } from '../protocol/flow.js';
import type { DatabaseName, NodeName } from '../protocol/ids.js';

export interface ChangedRule {
  readonly database: DatabaseName;
  readonly now: LinkScope;
  readonly sends: boolean;
  readonly receives: boolean;
}

/** Why a peer is sent nothing of a database, in its Unsubscribe. */
export const unauthorized = (database: DatabaseName): string =>
  `Unauthorized database subscription to ${database}`;

export class StreamRules {
  readonly #peer: NodeName;
  #rules: FlowRules;
  /** As they are applied to streams, whatever the rules answer meanwhile. */
  #applied = new Map<DatabaseName, LinkScope>();
  /** Why the peer sends nothing of these. */
  readonly #refusals = new Map<DatabaseName, string>();

  constructor(peer: NodeName, rules: FlowRules) {
    this.#peer = peer;
    this.#rules = rules;
  }

  of(database: DatabaseName): LinkScope {
    const applied = this.#applied.get(database) ?? this.#rules.link(this.#peer, database);
    this.#applied.set(database, applied);
    return applied;
  }

  /** Whether the peer is sent anything of it. Whether there is such a database makes no difference: nor may the answer. */
  isOffered(database: DatabaseName): boolean {
    return !isNothing(this.#rules.link(this.#peer, database).sends);
  }

  /** Other rules hold from now on: what is different for these databases. */
  change(rules: FlowRules, databases: Iterable<DatabaseName>): ChangedRule[] {
    const before = this.#applied;
    this.#rules = rules;
    this.#applied = new Map();
    return [...databases].flatMap((database) => {
      const old = before.get(database);
      const now = this.of(database);
      if (!old || isDeepStrictEqual(old, now)) return [];
      const sends = !isDeepStrictEqual(old.sends, now.sends);
      const receives =
        !isDeepStrictEqual(old.receives, now.receives) || old.startTimeMs !== now.startTimeMs;
      return [{ database, now, sends, receives }];
    });
  }

  refusedByPeer(database: DatabaseName, reason: string): void {
    this.#refusals.set(database, reason);
  }

  acceptedByPeer(database: DatabaseName): void {
    this.#refusals.delete(database);
  }

  linkedAnew(): void {
    this.#refusals.clear();
  }

  /** Why a direction is closed, where this node's rules or the peer say so. */
  closed(database: DatabaseName): { sendingClosed?: string; receivingClosed?: string } {
    const { sends, receives } = this.of(database);
    const refusal = this.#refusals.get(database);
    const receiving = isNothing(receives) ? 'the rules of this node: receives nothing' : refusal;
    return {
      ...(isNothing(sends) && { sendingClosed: 'the rules of this node: sends nothing' }),
      ...(receiving !== undefined && { receivingClosed: receiving }),
    };
  }
}
