/**
 * Spawns the revocation actor of a node and opens the gate to it. Called by clusterSupervisor, before anything is dialled or
 * accepted over TLS.
 */
import { limits } from '../protocol/limits.js';
import { httpFetch } from '../security/httpFetch.js';
import type { RevocationResult } from '../security/revocation.js';
import type { ActorContext } from './kernel/types.js';
import type { ClusterMessage, RevocationMessage } from './messages.js';
import { ownVersion } from './ownVersion.js';
import type { NodeResources } from './resources.js';
import { revocationSpec } from './revocation.js';
import { revocationTables } from './revocationTables.js';
import type { AskSystem } from './users.js';

/** Resolves when the gate asks the actor, which is then a child of `context`. */
export const openRevocation = async (
  context: ActorContext<ClusterMessage>,
  { resources, ask }: { resources: NodeResources; ask: AskSystem },
): Promise<void> => {
  const { revocation: gate } = resources.trust;
  const cache = revocationTables(ask, gate.settings.crl);
  const version = await ownVersion();
  const actor = context.spawn(revocationSpec({ resources, cache, fetch: httpFetch, version }));
  gate.open({
    check: (pair) =>
      context.ask<RevocationResult, RevocationMessage>(
        actor,
        (replyTo) => ({ type: 'certificate.check', pair, replyTo }),
        { timeoutMs: limits.revocationWaitMsMax },
      ),
    released: (pem) => void actor.send({ type: 'certificate.released', pem }, 'control'),
  });
};
