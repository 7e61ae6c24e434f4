/**
 * membership: says which peers to open. Members are the configured routes; a change of members while the node runs, and
 * gossip of members, come with add_node. A sibling of `peers`, not its parent: what fails here drops no link.
 */
import type { Actor, ActorContext, ActorRef, ActorSpec } from './kernel/types.js';
import type { MembershipMessage, PeersMessage } from './messages.js';
import type { NodeResources } from './resources.js';

export const membershipSpec = (parts: {
  resources: NodeResources;
  peers: ActorRef<PeersMessage>;
}): ActorSpec<MembershipMessage> => ({
  name: 'membership',
  policy: {
    restart: 'onCrash',
    budget: { restarts: 5, withinMs: 60_000 },
    whenSpent: 'escalate',
  },
  start: (context) => new Membership(context, parts),
});

class Membership implements Actor<MembershipMessage> {
  readonly #resources: NodeResources;
  readonly #peers: ActorRef<PeersMessage>;

  constructor(
    context: ActorContext<MembershipMessage>,
    parts: { resources: NodeResources; peers: ActorRef<PeersMessage> },
  ) {
    this.#resources = parts.resources;
    this.#peers = parts.peers;
    // Once: a watch outlives the restarts it reports.
    context.watch(parts.peers as ActorRef<never>, (terminated) => ({
      type: 'peers.restarted',
      terminated,
    }));
    this.#announce();
  }

  readonly receive = (message: MembershipMessage): void => {
    switch (message.type) {
      case 'membership.announce':
      case 'peers.restarted':
        return this.#announce();
      default:
        return message satisfies never;
    }
  };

  describe(): Record<string, unknown> {
    return { routes: this.#resources.config.replication.routes.map(({ name }) => name) };
  }

  /** Idempotent: peers that are open stay as they are. Said again when `peers` begins a new life. */
  #announce(): void {
    for (const { name, url } of this.#resources.config.replication.routes)
      this.#peers.send({ type: 'peer.open', name, url }, 'control');
  }
}
