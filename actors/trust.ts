/**
 * What this node believes about others, at this moment: what TLS connections show and trust, and which certificates are
 * revoked. Written by the signer actor only; read by the transport, by admission and by the HTTPS door at each connection.
 */
import type { NodeName } from '../protocol/ids.js';
import { SecureContexts } from './transport/secureContexts.js';

export class Trust {
  /** Between nodes. */
  readonly contexts = new SecureContexts();
  /** For HTTPS. Another set: who is trusted as a client is not trusted as a node, nor the reverse. */
  readonly operations = new SecureContexts();
  #revoked: ReadonlyMap<NodeName, readonly string[]> = new Map();

  /** In place of what was said before. Serial numbers by node, as they were written down. */
  revoke(serials: ReadonlyMap<NodeName, readonly string[]>): void {
    this.#revoked = serials;
  }

  readonly revokedSerials = (name: NodeName): readonly string[] => this.#revoked.get(name) ?? [];
}
