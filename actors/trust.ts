/**
 * What this node believes about others, at this moment: what TLS connections show and trust, and which certificates are
 * revoked. Written by the signer actor only; read by the transport and by admission at each connection. Keeps nothing.
 */
import type { NodeName } from '../protocol/ids.js';
import { SecureContexts } from './transport/secureContexts.js';

export class Trust {
  readonly contexts = new SecureContexts();
  #revoked: ReadonlyMap<NodeName, readonly string[]> = new Map();

  /** In place of what was said before. Serial numbers by node, as they were written down. */
  revoke(serials: ReadonlyMap<NodeName, readonly string[]>): void {
    this.#revoked = serials;
  }

  readonly revokedSerials = (name: NodeName): readonly string[] => this.#revoked.get(name) ?? [];
}
